"""Braintree.

Signature: braintree/braintree_python 80b03f4, ``braintree/webhook_notification_gateway.py``: a form
with ``bt_payload``, which is XML in base64, and ``bt_signature``: your public key, and the
HMAC-SHA1 by the SHA-1 of the private key. ``SECRETS`` are both keys: ``public|private``. Needs
``[xml]``. An endpoint is verified by a GET with a challenge. Kinds:
https://developer.paypal.com/braintree/docs/reference/general/webhooks/overview.

A notification has no id: it is its kind, its objects and its time. Subscriptions and bank debits
have notifications; a single payment by card has none. A refund is a transaction, too, of the type
``credit``. Subjects in samples of the SDK have no currency; real ones have.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Mapping

from ..envelopes import FormEnvelope
from ..signatures import is_among

TRANSACTIONS = (".transaction", ".subscription.transactions.0", ".dispute.transaction")
IDS = "{.transaction.id?}{.dispute.id?}{.subscription.id?}"
IDS += "{.disbursement.id?}{.local-payment.payment-id?}"
SALE, CREDIT = (f"notification.subject.transaction.type={each}" for each in ("sale", "credit"))
CREDITED = ".transaction.refunded-transaction-id"


class Preset(FormEnvelope):
    """Braintree signs what is inside of a form."""

    docs = "https://developer.paypal.com/braintree/docs/guides/webhooks/overview"
    events = ("subscription_charged_successfully", "transaction_settled", "dispute_*")
    # Nothing else is signed when it is asked for: no payload is like that.
    challenge = r"query:bt_challenge ~ ^([a-f0-9]{20,32})\Z"
    payload_field = "bt_payload"
    payload_format = "xml"
    signature_field = "bt_signature"
    signature_pattern = r"(?:^|&)([^|&]+\|[0-9a-fA-F]{40})(?=&|$)"
    digest = "sha1"
    content = "{form:bt_payload}\n"
    object_path = "notification.subject"
    fields = {
        "provider_event_id": "{notification.kind}:" + IDS + ":{notification.timestamp}",
        "type": "notification.kind",
        "occurred_at": "notification.timestamp",
        "order_id": tuple(f"{path}.order-id" for path in TRANSACTIONS),
        "payment_id": (CREDITED, *(f"{path}.id" for path in TRANSACTIONS)),
        "refund_id": {"refund.*": ".transaction.id"},
        "dispute_id": {"dispute.*": ".dispute.id"},
        "amount": (".dispute.amount-disputed", *(f"{path}.amount" for path in TRANSACTIONS)),
        "currency": tuple(f"{path}.currency-iso-code" for path in (".dispute", *TRANSACTIONS)),
    }
    types = {
        "subscription_charged_successfully": "charge.succeeded",
        f"transaction_settled {SALE}": "charge.succeeded",
        f"transaction_settled {CREDIT}": "refund.created",
        "subscription_charged_unsuccessfully": "charge.failed",
        f"transaction_settlement_declined {SALE}": "charge.failed",
        f"transaction_settlement_declined {CREDIT}": "refund.failed",
        "dispute_opened": "dispute.opened",
        "dispute_won": "dispute.won",
        "dispute_lost|dispute_accepted|dispute_auto_accepted|dispute_expired": "dispute.lost",
    }

    def decode_secret(self, secret: Any) -> bytes:
        """Return the public key, and the digest of the private one."""
        public, _, private = str(secret).partition("|")
        derived = hashlib.new(self.digest, super().decode_secret(private)).digest()
        return public.encode() + b"|" + derived

    def sign(self, key: bytes, meta: Mapping[str, Any], body: bytes, timestamp: str = "") -> str:
        """Return the public key, and what the private one signs."""
        return self.write_pair(key, self.fill_content(meta, body)).lower()

    def matches(
        self, key: bytes, meta: Mapping[str, Any], body: bytes, timestamp: str, signatures: Any
    ) -> bool:
        """Return whether a key signed the payload, with a newline at its end or without."""
        bare = self.write_pair(key, self.fill_content(meta, body).rstrip()).lower()
        return super().matches(key, meta, body, timestamp, signatures) or is_among(bare, signatures)

    def answer_challenge(self, challenge: str) -> str:
        """Return the public key, and the challenge signed by the private one."""
        return self.write_pair(self.keys()[0], challenge.encode()) if self.keys() else ""

    def write_pair(self, key: bytes, content: bytes) -> str:
        """Return a public key, and what the private one signs."""
        public, _, private = key.partition(b"|")
        mac = hmac.new(private, content, self.digest).hexdigest()
        return f"{public.decode('utf-8', 'replace')}|{mac}"
