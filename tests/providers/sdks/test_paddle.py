"""Paddle's SDK verifies."""

from types import SimpleNamespace

from .judge import Judge, load_sdk, read

notifications = load_sdk("paddle_billing.Notifications")


class TestPaddle(Judge):
    secret, other_secret = "pdl_ntfset_01_of_the_made_shop", "pdl_ntfset_01_of_another_shop"
    several = ("ts={timestamp};h1={bad};h1={good}", "ts={timestamp};h1={good};h1={bad}")
    we_accept = {
        "a signature in upper case": "hex says the same in each case",
        "a hash of another name beside it": "the SDK raises a ValueError for a name that it does"
        " not know, and would refuse everything on the day when Paddle adds one",
    }
    other_vectors = {
        "valid multiple h1 and unknown h2": we_accept["a hash of another name beside it"],
    }
    clocks = {"paddle_billing.Notifications.Verifier": "time"}

    def verify(self, webhook, secret):
        headers = {"Paddle-Signature": read(webhook, "Paddle-Signature")}
        request = SimpleNamespace(headers=headers, body=webhook.body)
        return notifications.Verifier().verify(request, notifications.Secret(secret))

    def list_more(self, genuine):
        header = genuine.headers["Paddle-Signature"]
        for name, is_genuine, value in [
            ("a hash of another name beside it", None, header + ";h2=abcdef"),
            ("a hash of another name alone", False, header.replace("h1=", "h2=")),
        ]:
            yield name, is_genuine, genuine.add_headers({"Paddle-Signature": value})
