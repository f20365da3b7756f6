"""The library of Standard Webhooks signs, and verifies."""

import base64
from datetime import datetime, timezone

from .judge import Judge, load_sdk

standardwebhooks = load_sdk("standardwebhooks")


class StandardJudge(Judge):
    """What the SDKs have in common that use this library."""

    secret = "whsec_" + base64.b64encode(b"of the made shop, with 31 bytes").decode()
    other_secret = "whsec_" + base64.b64encode(b"of another shop, with 30 bytes").decode()
    prefix = "webhook"
    several = ("v1,{bad} v1,{good}", "v1,{good} v1,{bad}", "v1a,{bad} v1,{good}")
    we_refuse = {
        "a time with a fraction": "the specification has whole seconds; the SDK signs them without"
        " what it was sent",
        "a sign that is not base64": "the SDK's decoder leaves it out without a word",
        "a signature with a sign more": "the SDK's decoder ends at the padding",
    }
    we_accept = {
        "a signature without a version before it": "the SDK breaks off with a ValueError where the"
        " specification says that what is not known is skipped",
    }
    clocks = {"standardwebhooks.webhooks": "datetime"}

    def sign(self, body, secret, seconds):
        moment = datetime.fromtimestamp(seconds, timezone.utc)
        signature = standardwebhooks.Webhook(secret).sign("msg_1", moment, body.decode())
        values = {"id": "msg_1", "timestamp": str(seconds), "signature": signature}
        return {f"{self.prefix}-{name}": value for name, value in values.items()}

    def list_more(self, genuine):
        signature = genuine.headers[f"{self.prefix}-signature"]
        timestamp = genuine.headers[f"{self.prefix}-timestamp"]
        for name, is_genuine, changed in [
            ("another id", False, {"id": "msg_2"}),
            ("no id", False, {"id": ""}),
            ("a time with a fraction", None, {"timestamp": f"{timestamp}.5"}),
            ("another version alone", False, {"signature": signature.replace("v1", "v2")}),
            ("a signature without a version before it", None, {"signature": f"x {signature}"}),
            ("a sign that is not base64", None, {"signature": f"{signature}!"}),
        ]:
            headers = {f"{self.prefix}-{key}": value for key, value in changed.items()}
            yield name, is_genuine, genuine.add_headers(headers)


class TestStandardWebhooks(StandardJudge):
    def verify(self, webhook, secret):
        verify = standardwebhooks.Webhook(secret).verify
        return verify(webhook.body, webhook.headers, json_parse=False)
