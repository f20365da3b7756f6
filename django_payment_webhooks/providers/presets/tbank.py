"""T-Bank, once Tinkoff: internet acquiring.

The token of a notification: https://developer.tbank.ru/eacq/intro/developer/token and
https://developer.tbank.ru/eacq/intro/developer/notification: SHA-256 of the values of the root,
sorted by their names, with the terminal's password among them. Resent each hour for 24 hours, then
each day for a month, until the answer is ``OK``.

A notification has no id and no time: an event is its payment, its status and its amount. So two
partial refunds of one amount can't be distinguished; ask the bank (GetState) if you make these. It
is not documented whether the amount of a partial refund is that of the refund: try one. Passwords
have 14 characters or more, of random letters, digits and signs, chosen by the bank.
"""

from __future__ import annotations

from typing import Any, Mapping

from .. import Provider
from ..fields import write_text


class Preset(Provider):
    """T-Bank puts the token into the body, and wants to read ``OK``."""

    docs = "https://developer.tbank.ru/eacq/intro/developer/notification"
    events = ("Notifications by HTTP, in the terminal's settings",)
    resends_for = 31 * 24 * 60 * 60
    addresses = ("91.194.226.0/23", "91.218.132.0/22", "212.233.80.0/22", "212.49.24.0/24")
    min_key_length = 14
    proof = "hash"
    signature_field = "Token"
    answer_body = "OK"
    amount_unit = "minor"
    fields = {
        "provider_event_id": "{PaymentId}:{Status}:{Amount?}",
        "type": "Status",
        "order_id": "OrderId",
        "payment_id": "PaymentId",
        "refund_id": {"refund.*": "{PaymentId}:{Status}:{Amount}"},
        "amount": "Amount",
        "currency": "=RUB",
    }
    types = {
        "CONFIRMED Success=true": "charge.succeeded",
        "REJECTED|AUTH_FAIL|DEADLINE_EXPIRED": "charge.failed",
        "REFUNDED|PARTIAL_REFUNDED Success=true": "refund.created",
    }

    def fill_content(
        self, meta: Mapping[str, Any], body: bytes, timestamp: str = "", key: bytes = b""
    ) -> bytes:
        """Return the values of the root, the password among them, in the order of their names."""
        values = {**self.read_signed(body), "Password": key.decode("utf-8", "replace")}
        values.pop("Token", None)
        texts = [write_text(value) for _, value in sorted(values.items())]
        return "".join(texts).encode("utf-8", "replace")
