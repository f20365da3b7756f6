"""Cashfree's SDK verifies."""

from .judge import Judge, load_sdk, read

api_client = load_sdk(
    "cashfree_pg.api_client",
    ignored="The `validate_arguments` method|Pydantic V1 style `@validator`",
)


class TestCashfree(Judge):
    we_refuse = {
        "signed too long ago": "the SDK does not read the time that it verifies",
        "by a clock that is too fast": "the SDK does not read the time that it verifies",
    }

    def verify(self, webhook, secret):
        client = api_client.Cashfree(api_client.Cashfree.SANDBOX, "shop", secret)
        signature = read(webhook, "x-webhook-signature")
        timestamp = read(webhook, "x-webhook-timestamp")
        try:
            client.PGVerifyWebhookSignature(signature, webhook.body.decode(), timestamp)
        except KeyError:
            # It is verified, and has no type.
            return True

    def list_more(self, genuine):
        # What is signed is the time and the body, with nothing between them.
        timestamp = genuine.headers["x-webhook-timestamp"]
        shorter = genuine.add_headers({"x-webhook-timestamp": timestamp[:-1]})
        body = timestamp[-1:].encode() + genuine.body
        yield "a time whose last digit is in the body", False, shorter._replace(body=body)
