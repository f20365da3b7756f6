"""Recurly: a webhook says little, and the rest is asked for."""

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.providers.payloads import dump_json

from .contract import Contract


def event(object_type, event_type, object_id="xk2x6s3u", **fetched):
    """Return an event with the fields of Recurly, and what was fetched."""
    made = {"id": object_id, "object_type": object_type, "site_id": "s", "event_type": event_type}
    made["event_time"] = "2026-11-23T10:00:00Z"
    return {**made, "object": fetched} if fetched else made


def fetch(event):
    """Return the event with the invoice that it is about."""
    invoice = {"state": "paid", "total": 21.5, "currency": "USD", "po_number": "A1"}
    return {**event.payload, "object": {**invoice, "transactions": [{"id": "tx_1"}]}}


class TestRecurly(Contract):
    options = {"CONFIRM": f"{__name__}.fetch"}
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            event("charge_invoice", "paid"),
            {
                "type": "charge.succeeded",
                "provider_event_id": "charge_invoice.paid:xk2x6s3u:2026-11-23T10:00:00Z",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "",
                "payment_id": "xk2x6s3u",
                "money": "",
            },
        ),
        (
            event("charge_invoice", "paid", "open", state="past_due"),
            {"type": "charge_invoice.paid"},
        ),
        (event("charge_invoice", "failed"), {"type": "charge.failed"}),
        (
            event(
                "refund", "success", "r1", amount=5, currency="USD", original_transaction_id="t1"
            ),
            {
                "type": "refund.created",
                "payment_id": "t1",
                "refund_id": "r1",
                "money": "5.00 USD",
            },
        ),
    ]

    def test_what_was_fetched_is_the_event(self, installed, make):
        provider = get_provider("made")
        (event,) = self.parse(provider, self.events[0][0])
        payload = provider.payload(dump_json(provider.confirm(event)))
        columns = provider.read_columns(payload)
        assert (columns["type"], columns["order_id"]) == ("charge.succeeded", "A1")
        assert columns["payment_id"] == "tx_1"
        assert str(provider.read_money(payload)) == "21.50 USD"
