"""MONEI's SDK verifies."""

from .judge import Judge, load_sdk, read

Monei = load_sdk("Monei")
NO_TIME = "the SDK does not read the time that it verifies"


class TestMonei(Judge):
    several = ("t={timestamp},v1={bad},v1={good}", "t={timestamp},v1={good},v1={bad}")
    we_refuse = {"signed too long ago": NO_TIME, "by a clock that is too fast": NO_TIME}
    we_accept = {
        "a signature in upper case": "hex says the same in each case",
        several[1]: "the SDK reads the last signature alone",
    }
    other_vectors = {"too old": NO_TIME}

    def verify(self, webhook, secret):
        client = Monei.MoneiClient(api_key=secret)
        client.verify_signature(webhook.body.decode(), read(webhook, "MONEI-Signature"))
