"""Mercado Pago's SDK verifies."""

from urllib.parse import parse_qs

from .judge import Judge, load_sdk, read

webhooks = load_sdk("mercadopago.webhook")


class TestMercadoPago(Judge):
    query = "data.id=ORD01JQ4S4KY8HWQ6NA5PXB65B3D3&type=order"
    several = (
        "v1={good},ts={timestamp}",
        "ts={timestamp}, v1={good}",
        "ts={timestamp},v2=x,v1={good}",
    )
    we_accept = {
        "a signature in upper case": "hex says the same in each case",
        "an id that was signed in lower case": "the documentation has it so, and so had the SDK",
    }
    other_vectors = {
        "an id in upper case, signed in lower case": we_accept[
            "an id that was signed in lower case"
        ],
    }

    def verify(self, webhook, secret):
        (data_id,) = parse_qs(webhook.query).get("data.id", [None])
        webhooks.WebhookSignatureValidator.validate(
            read(webhook, "x-signature"), read(webhook, "x-request-id"), data_id, secret
        )

    def list_bodies(self, genuine):
        """Nothing of the body is signed: it is asked for. What is asked for is in the address."""
        yield "another body", True, genuine._replace(body=b"{}")
        other = self.query.replace("ORD01", "ORD02")
        yield "another id", False, genuine._replace(query=other)
        yield "no id", False, genuine._replace(query="type=order")
        yield "another request", False, genuine.add_headers({"x-request-id": "another"})

    def list_more(self, genuine):
        self.query = self.query.lower()
        in_lower_case = self.send()
        del self.query
        yield "an id in lower case", True, in_lower_case
        upper = in_lower_case._replace(query=type(self).query)
        yield "an id that was signed in lower case", True, upper
