"""Sber, Alfa-Bank and other banks with the gateway of RBS (BPC).

The callbacks and their checksum: https://ecomtest.sberbank.ru/doc#tag/basicServices/operation
(callback notifications), the same at every bank with this gateway: all parameters but ``checksum``
and ``sign_alias``, sorted by name, as ``name;value;``. A secret that is a public key in PEM
verifies RSA with SHA-512, and needs ``[rsa]``; any other is the key of an HMAC-SHA256. Called by
GET, or by POST, three times at most, 30 seconds apart.

Turn on checksums, and let the bank's support add ``amount``, ``operationRefundedAmount`` and
``currencyName``: without these a callback says no sum, and its currency is taken to be RUB.
``amount`` is always that of the order, so that a refund has none unless it says its own. Its time
has no fixed form, and is not read. ``approved`` is only a hold if you deposit manually.
``reversed`` keeps its name: it can undo a hold, or a payment of the same day. Several refunds of
one order are distinguished by their sums, or by ``externalRefundId``.
"""

from __future__ import annotations

from typing import Any, Mapping

from .. import Provider
from ..public_keys import EitherSignature

UNSIGNED = ("checksum", "sign_alias")
REFUND = "{mdOrder}:{operation}:{status}:{operationRefundedAmount?}{refundedAmount?}"


class Preset(EitherSignature, Provider):
    """The gateway signs all parameters, by a shared key or by one of its own."""

    docs = "https://ecomtest.sberbank.ru/doc"
    events = ("deposited", "refunded", "declinedByTimeout")
    resends_for = 24 * 60 * 60
    signature_field = "checksum"
    signature_pattern = r"\A([0-9A-Fa-f]+)\Z"
    signature_encoding = "hex"
    public_key_digest = "sha512"
    body_format = "query"
    amount_unit = "minor"
    ignored_fields = (*UNSIGNED, "callbackCreationDate")
    fields = {
        "provider_event_id": REFUND + ":{externalRefundId?}",
        "type": "operation",
        "order_id": "orderNumber",
        "payment_id": "mdOrder",
        "refund_id": {"refund.*": ("externalRefundId", REFUND)},
        "amount": {"refund.*": "operationRefundedAmount", "*": ("depositedAmount", "amount")},
        "currency": ("currencyName", "=RUB"),
    }
    types = {
        "deposited status=1": "charge.succeeded",
        "deposited|approved status=0": "charge.failed",
        "declinedByTimeout|declinedCardpresent": "charge.failed",
        "refunded status=1": "refund.created",
        "refunded status=0": "refund.failed",
    }

    def fill_content(
        self, meta: Mapping[str, Any], body: bytes, timestamp: str = "", key: bytes = b""
    ) -> bytes:
        """Return all parameters that are signed, in the order of their names."""
        pairs = sorted(self.read_signed(body).items())
        texts = [f"{name};{value};" for name, value in pairs if name not in UNSIGNED]
        return "".join(texts).encode("utf-8", "replace")
