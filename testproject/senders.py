"""What payment providers send: for the demo and for tests.

::

    stripe = Stripe()
    env["PRESETS"] = json.dumps({stripe.name: stripe.options})
    ...
    stripe.post(server.base_url, stripe.charge("A1", "pi_1"))
    stripe.post(server.base_url, stripe.refund("pi_1", "re_1", "4.00"))

Written and signed here, not by the app's own test kit: what is outside of the shop must not share
its mistakes. A refund names its payment, and never the order.
"""

import base64
import hashlib
import hmac
import json
import time
import uuid
from datetime import datetime, timezone
from decimal import Decimal

from processes import PATH, post_webhook


def now():
    """Return the current time in ISO 8601."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_minor(amount):
    """Return an amount in cents, or in its currency's minor unit."""
    return int(Decimal(amount) * 100)


def make_mac(secret, content, digest="sha256"):
    """Return the HMAC of a content."""
    return hmac.new(secret.encode(), content, digest).digest()


def make_id(prefix):
    """Return a new id."""
    return prefix + uuid.uuid4().hex[:12]


class Sender:
    """A provider that sends JSON, and signs it in a header."""

    #: The preset, and what the provider is called in the settings and in the address.
    name = ""
    secret = ""
    currency = "EUR"
    content_type = "application/json"

    @property
    def options(self):
        """The provider's settings."""
        return {"PRESET": self.name, "SECRETS": [self.secret]}

    def charge(self, order_id, payment_id, amount="10.00"):
        """Return what it says once an order was paid."""
        raise NotImplementedError

    def refund(self, payment_id, refund_id, amount):
        """Return what it says once money went back."""
        raise NotImplementedError

    def put_proof(self, document, secret):
        """Return what it says with the proof that is in it."""
        return document

    def write(self, document):
        """Return what it says as a body."""
        return json.dumps(document).encode()

    def sign(self, body, secret):
        """Return the headers that prove a body."""
        return {}

    def post(self, base_url, document, secret=None):
        """Send what it says, signed with its own secret or another one. Returns the answer."""
        secret = secret or self.secret
        body = self.write(self.put_proof(document, secret))
        headers = {"Content-Type": self.content_type, **self.sign(body, secret)}
        return post_webhook(base_url, body, path=f"{PATH}/{self.name}", headers=headers)


class Stripe(Sender):
    """Stripe: https://docs.stripe.com/webhooks."""

    name = "stripe"
    secret = "whsec_the_secret_of_stripe"

    def charge(self, order_id, payment_id, amount="10.00"):
        """Return a payment intent that has succeeded."""
        paid = {"id": payment_id, "amount": in_minor(amount), "amount_received": in_minor(amount)}
        paid["metadata"] = {"order_id": order_id}
        return self.make("payment_intent.succeeded", paid)

    def refund(self, payment_id, refund_id, amount):
        """Return a refund."""
        refund = {"id": refund_id, "amount": in_minor(amount), "payment_intent": payment_id}
        return self.make("refund.created", dict(refund, status="succeeded", metadata={}))

    def make(self, event_type, about):
        """Return an event."""
        event = {"id": make_id("evt_"), "type": event_type, "created": int(time.time())}
        event["data"] = {"object": dict(about, currency=self.currency.lower())}
        return event

    def sign(self, body, secret):
        """Sign the time and the body."""
        seconds = str(int(time.time()))
        mac = make_mac(secret, seconds.encode() + b"." + body).hex()
        return {"Stripe-Signature": f"t={seconds},v1={mac}"}


class Adyen(Sender):
    """Adyen: https://docs.adyen.com/development-resources/webhooks."""

    name = "adyen"
    secret = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"

    def charge(self, order_id, payment_id, amount="10.00"):
        """Return an authorisation, which is captured automatically."""
        item = {"pspReference": payment_id, "merchantReference": order_id}
        return self.make("AUTHORISATION", amount, item)

    def refund(self, payment_id, refund_id, amount):
        """Return a refund."""
        item = {"pspReference": refund_id, "originalReference": payment_id}
        return self.make("REFUND", amount, item)

    def make(self, event_code, amount, item):
        """Return a list of one item."""
        money = {"value": in_minor(amount), "currency": self.currency}
        item = dict(item, eventCode=event_code, success="true", amount=money, eventDate=now())
        item["merchantAccountCode"] = "Shop"
        return {"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}

    def put_proof(self, document, secret):
        """Sign eight fields of each item."""
        for each in document["notificationItems"]:
            item = each["NotificationRequestItem"]
            names = ["pspReference", "originalReference", "merchantAccountCode"]
            fields = [item.get(name, "") for name in [*names, "merchantReference"]]
            fields += [str(item["amount"]["value"]), item["amount"]["currency"]]
            content = ":".join([*fields, item["eventCode"], item["success"]]).encode()
            mac = hmac.new(bytes.fromhex(secret), content, "sha256").digest()
            item["additionalData"] = {"hmacSignature": base64.b64encode(mac).decode()}
        return document


class TBank(Sender):
    """T-Bank: https://developer.tbank.ru/eacq/intro/developer/notification."""

    name = "tbank"
    secret = "usaf8fw8fsw21g"
    currency = "RUB"

    def charge(self, order_id, payment_id, amount="10.00"):
        """Return a payment that was confirmed."""
        return dict(self.make("CONFIRMED", payment_id, amount), OrderId=order_id)

    def refund(self, payment_id, refund_id, amount):
        """Return a partly refunded payment. The refund has no id."""
        return self.make("PARTIAL_REFUNDED", payment_id, amount)

    def make(self, status, payment_id, amount):
        """Return a notification."""
        made = {"TerminalKey": "1510572937960", "Status": status, "PaymentId": payment_id}
        return dict(made, Success=True, ErrorCode="0", Amount=in_minor(amount))

    def put_proof(self, document, secret):
        """Add the digest of all values, the password among them, sorted by their names."""
        values = {name: value for name, value in document.items() if name != "Token"}
        texts = [
            str(value).lower() if isinstance(value, bool) else str(value)
            for _, value in sorted(dict(values, Password=secret).items())
        ]
        return dict(values, Token=hashlib.sha256("".join(texts).encode()).hexdigest())
