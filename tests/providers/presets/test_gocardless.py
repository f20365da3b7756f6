"""GoCardless: a list of events without money, which the host's function fetches."""

import base64
import hashlib
import hmac
import json

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.models import Event
from django_payment_webhooks.providers.payloads import dump_json

from .contract import Contract


def item(number, resource, action, **fields):
    """Return an event with the fields of GoCardless."""
    made = {"id": f"EV{number}", "created_at": "2026-11-23T10:00:00.000Z", "metadata": {}}
    links = {resource[:-1]: f"{resource[0].upper()}1"}
    return {**made, "resource_type": resource, "action": action, "links": links, **fields}


def events(*items):
    """Return the body with these events."""
    return {"events": list(items)}


PAYMENT = {"id": "P1", "amount": 1000, "currency": "GBP", "metadata": {"order_id": "A1"}}
REFUND = {"id": "R1", "amount": 300, "currency": "GBP", "links": {"payment": "P1"}}


def fetch(event):
    """Return an event with the object that GoCardless has for it."""
    found = {"payments": {"payment": PAYMENT}, "refunds": {"refund": REFUND}}
    return {**event.payload, **found[event.payload["resource_type"]]}


class TestGoCardless(Contract):
    options = {"CONFIRM": f"{__name__}.fetch"}
    vector_options = {"MIN_KEY_LENGTH": 1}
    events = [
        (
            events(item(1, "payments", "confirmed", resource_metadata={"order_id": "A1"})),
            {
                "type": "charge.succeeded",
                "provider_event_id": "EV1",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "P1",
                "money": "",
            },
        ),
        (events(item(2, "payments", "failed")), {"type": "charge.failed", "payment_id": "P1"}),
        (events(item(3, "payments", "paid_out")), {"type": "payments.paid_out"}),
        (
            events(item(4, "refunds", "created")),
            {"type": "refund.pending", "refund_id": "R1", "payment_id": ""},
        ),
        (events(item(5, "refunds", "paid")), {"type": "refund.created"}),
        (events(item(6, "refunds", "failed")), {"type": "refund.failed"}),
        (
            events(item(7, "payments", "charged_back")),
            {"type": "dispute.opened", "payment_id": "P1", "dispute_id": "P1"},
        ),
        (
            events(item(8, "payments", "chargeback_cancelled")),
            {"type": "dispute.won", "dispute_id": "P1"},
        ),
        (events(item(9, "mandates", "created")), {"type": "mandates.created", "payment_id": ""}),
    ]

    def test_money_and_payment_are_in_what_is_fetched(self, installed):
        provider = get_provider("made")
        read = []
        for body in (events(item(1, "payments", "confirmed")), events(item(2, "refunds", "paid"))):
            (event,) = self.parse(provider, body)
            event.provider = "made"
            payload = provider.payload(dump_json(provider.confirm(event)))
            columns = provider.read_columns(payload)
            read.append((columns["type"], columns["payment_id"], columns["order_id"]))
            read.append(str(provider.read_money(payload)))
        assert read == [
            ("charge.succeeded", "P1", "A1"),
            "10.00 GBP",
            ("refund.created", "P1", ""),
            "3.00 GBP",
        ]

    def test_each_event_of_a_list_is_stored_and_a_forgery_gets_498(
        self, transactional_db, installed, post, published
    ):
        items = [item(number, "payments", "confirmed") for number in (1, 2, 3)]
        body = json.dumps(events(*items)).encode()
        mac = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        answer = post(body, "made", HTTP_WEBHOOK_SIGNATURE=mac)
        assert answer.status_code == 200
        assert post(body + b" ", "made", HTTP_WEBHOOK_SIGNATURE=mac).status_code == 498
        assert post(body, "made").status_code == 498
        assert Event.objects.count() == 3
        wrong = base64.b64encode(bytes.fromhex(mac)).decode()
        assert post(body, "made", HTTP_WEBHOOK_SIGNATURE=wrong).status_code == 498
