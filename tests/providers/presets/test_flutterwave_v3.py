"""Flutterwave's third version: a token proves who sends, and nothing of the body."""

import pytest

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.providers.sending import compose, forge_webhook, make_values
from django_payment_webhooks.providers.sending import sign_webhook as sign

from .contract import Contract


def event(name, **data):
    """Return an event with the fields of the third version."""
    made = {"id": 1, "currency": "NGN", "created_at": "2026-11-23T10:00:00.000Z"}
    return {"event": name, "data": {**made, **data}}


class TestFlutterwaveV3(Contract):
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event("charge.completed", status="successful", tx_ref="A1", amount=100),
            {
                "type": "charge.succeeded",
                "provider_event_id": "charge.completed:1:successful",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "1",
                "money": "100.00 NGN",
            },
        ),
        (
            event("charge.completed", status="failed", tx_ref="A1", amount=100),
            {"type": "charge.failed"},
        ),
        (event("transfer.completed", status="SUCCESSFUL"), {"type": "transfer.completed"}),
        (
            event("refund.completed", id=5, status="completed", transaction_id=1, amount=20.5),
            {"type": "refund.created", "payment_id": "1", "refund_id": 5, "money": "20.50 NGN"},
        ),
        # The names that its list of refunds has.
        (
            event(
                "refund.completed", id=6, status="completed-mpgs", TransactionId=1, AmountRefunded=7
            ),
            {"type": "refund.created", "payment_id": "1", "refund_id": 6, "money": "7.00 NGN"},
        ),
    ]

    def test_what_is_signed_is_accepted_and_nothing_else(self, make):
        """The body is not signed: only the token counts."""
        provider = make()
        webhook = compose(provider, make_values(provider, "charge.succeeded", order_id="A1"))
        signed, forged = sign(provider, webhook), forge_webhook(provider, webhook)
        assert provider.verify(signed.meta, signed.body)
        for token in ("", self.secret[:-1], self.secret + "x", self.secret.upper(), "é"):
            with pytest.raises(WebhookRefused):
                provider.verify({"HTTP_VERIF_HASH": token}, signed.body)
        with pytest.raises(WebhookRefused) as raised:
            provider.verify(forged.meta, forged.body)
        assert (raised.value.status, raised.value.reason) == (401, "mismatch")
