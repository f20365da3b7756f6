"""Mollie's older webhooks say an id; everything else is in the payment that is fetched."""

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.models import Event
from django_payment_webhooks.providers.payloads import dump_json

from .contract import Contract

PAID = {
    "id": "tr_1",
    "status": "paid",
    "amount": {"value": "10.00", "currency": "EUR"},
    "metadata": {"order_id": "A1"},
    "paidAt": "2026-11-23T10:00:00+00:00",
}


def fetch(event):
    """Return the payment as Mollie has it."""
    return dict(PAID, id=event.payment_id)


class TestMollieClassic(Contract):
    options = {"CONFIRM": f"{__name__}.fetch"}
    events = [
        ("id=tr_1", {"type": "payment.changed", "payment_id": "tr_1", "money": "", "order_id": ""}),
        ("id=tr_1", {"type": "payment.changed"}),
        ("id=tr_2", {"payment_id": "tr_2"}),
    ]

    def test_each_type_can_be_played(self, make):
        """Only an id is sent."""

    def test_a_webhook_is_stored_once_and_answered_as_the_provider_wants(
        self, transactional_db, installed, post, published
    ):
        content_type = "application/x-www-form-urlencoded"
        assert post(b"id=tr_1", "made", content_type).status_code == 200
        assert post(b"id=tr_1", "made", content_type).status_code == 200
        first, second = Event.objects.order_by("pk")
        # The next webhook of the same id can say something else: each is looked at.
        assert first.dedup_key != second.dedup_key
        assert first.payment_key == second.payment_key

    def test_what_the_payment_says_is_the_event(self, installed, make):
        provider = get_provider("made")
        (event,) = provider.parse({"REQUEST_METHOD": "POST"}, b"id=tr_1")
        confirmed = provider.confirm(event)
        payload = provider.payload(dump_json(confirmed))
        columns = provider.read_columns(payload)
        assert (columns["type"], columns["order_id"]) == ("charge.succeeded", "A1")
        assert columns["payment_key"] == event.payment_key
        assert str(provider.read_money(payload)) == "10.00 EUR"
