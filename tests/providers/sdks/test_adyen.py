"""Adyen's SDK signs each item of the webhooks of payments, and verifies the first."""

import json

from django_payment_webhooks.providers.sending import Webhook

from .judge import BODIES, Judge, change_last, load_sdk

adyen = load_sdk("Adyen.util")
ITEM = {
    "pspReference": "8836183819713023",
    "merchantAccountCode": "Shop",
    "eventCode": "AUTHORISATION",
    "success": "true",
    "amount": {"value": 1000, "currency": "EUR"},
}


def write(*items):
    """Return a webhook of these items."""
    items = [{"NotificationRequestItem": item} for item in items]
    return Webhook(json.dumps({"live": "false", "notificationItems": items}).encode(), {})


def add_signature(item, signature):
    """Return an item with a signature."""
    return {**item, "additionalData": {"hmacSignature": signature}}


class TestAdyen(Judge):
    we_refuse = {
        "a second item that nobody signed": "the SDK reads the first item alone, and a handler"
        " would be given both",
    }
    other_vectors = {
        "batch of two, second one forged": we_refuse["a second item that nobody signed"],
    }

    def send(self, body=BODIES["compact"], secret=None, age=0):
        """Return a webhook whose order has a number that is hard to read, signed by the SDK."""
        return write(self.sign_item({**ITEM, "merchantReference": body.decode()}, secret))

    def sign_item(self, item, secret=None):
        """Return an item that the SDK has signed."""
        signature = adyen.generate_notification_sig(item, secret or self.secret)
        return add_signature(item, signature.decode())

    def verify(self, webhook, secret):
        # None if there is no signature: it does not say yes.
        return bool(adyen.is_valid_hmac_notification(json.loads(webhook.body), secret))

    def list_bodies(self, genuine):
        item = self.sign_item({**ITEM, "merchantReference": "A1"})
        refund = self.sign_item({**ITEM, "eventCode": "REFUND", "originalReference": "88"})
        signature = item["additionalData"]["hmacSignature"]
        yield "two items", True, write(item, refund)
        yield (
            "an amount in text",
            True,
            write(self.sign_item({**ITEM, "amount": {"value": "1000", "currency": "EUR"}})),
        )
        for name, changed in [
            ("another amount", {"amount": {"value": 9000, "currency": "EUR"}}),
            ("another currency", {"amount": {"value": 1000, "currency": "KWD"}}),
            ("another success", {"success": "false"}),
            ("another order", {"merchantReference": "B1"}),
            ("another code", {"eventCode": "CAPTURE"}),
            ("a changed signature", {"additionalData": {"hmacSignature": change_last(signature)}}),
            ("an empty signature", {"additionalData": {"hmacSignature": ""}}),
            ("no signature", {"additionalData": {}}),
            ("no additional data", {"additionalData": None}),
        ]:
            yield name, False, write({**item, **changed})
            yield f"{name} of the first item", False, write({**item, **changed}, refund)
        forged = add_signature({**ITEM, "pspReference": "forged"}, signature)
        yield "a second item that nobody signed", False, write(item, forged)
        yield (
            "an order that moves into the next field",
            None,
            write(
                {**item, "merchantReference": "A1:1000", "amount": {"value": "EUR", "currency": ""}}
            ),
        )
        yield "no items", False, write()

    def list_headers(self, genuine):
        return ()
