"""Mercado Pago: nothing in the body is signed, and what is asked for is in the address."""

import json

import pytest

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.providers import find_preset
from django_payment_webhooks.providers.payloads import dump_json
from django_payment_webhooks.providers.sending import compose, make_values, sign_webhook

from .contract import Contract

META = {"QUERY_STRING": "data.id=1234567890&type=payment", "HTTP_X_REQUEST_ID": "f7b2"}


def payment(status, detail="accredited", **fields):
    """Return a payment with the fields of Mercado Pago."""
    made = {"id": 1234567890, "status": status, "status_detail": detail, "currency_id": "ARS"}
    made.update(external_reference="A1", transaction_amount=100.5)
    return {**made, "date_last_updated": "2026-11-23T07:00:00.000-03:00", **fields}


def fetch(event):
    """Return what Mercado Pago says."""
    return payment("approved")


class TestMercadoPago(Contract):
    options = {"CONFIRM": f"{__name__}.fetch"}
    events = [
        # What a webhook says by itself.
        (
            ("1", {"type": "payment", "action": "payment.updated", "data": {"id": "999"}}),
            {"type": "payment.updated", "payment_id": "1234567890", "order_id": "", "money": ""},
        ),
        # What is read of a payment that was fetched.
        (
            ("2", payment("approved")),
            {
                "type": "charge.succeeded",
                "provider_event_id": "1234567890:2",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "1234567890",
                "money": "100.50 ARS",
            },
        ),
        (("3", payment("in_process", "pending_review_manual")), {"type": "in_process"}),
        (("4", payment("rejected", "cc_rejected_other_reason")), {"type": "charge.failed"}),
        (
            (
                "5",
                payment(
                    "approved",
                    "partially_refunded",
                    refunds=[{"id": 1, "amount": 10}, {"id": 2, "amount": 2.5}],
                ),
            ),
            {"type": "refund.created", "refund_id": 2, "money": "2.50 ARS"},
        ),
        (("6", payment("charged_back", "in_process")), {"type": "dispute.opened"}),
        (("7", payment("charged_back", "reimbursed")), {"type": "dispute.won"}),
        (("8", payment("charged_back", "settled")), {"type": "dispute.lost"}),
        (
            (
                "9",
                {
                    "status": "processed",
                    "status_detail": "accredited",
                    "total_amount": "5.00",
                    "currency": "BRL",
                },
            ),
            {"type": "charge.succeeded", "payment_id": "1234567890"},
        ),
        # An order has its refunds among its transactions.
        (
            (
                "10",
                {
                    "status": "processed",
                    "status_detail": "partially_refunded",
                    "total_amount": "5.00",
                    "currency": "BRL",
                    "transactions": {"refunds": [{"id": "REF1", "amount": "1.50"}]},
                },
            ),
            {"type": "refund.created", "refund_id": "REF1", "money": "1.50 BRL"},
        ),
    ]

    def parse(self, provider, body):
        request_id, document = body
        meta = {**META, "HTTP_X_REQUEST_ID": request_id}
        return provider.parse(meta, json.dumps(document).encode())

    def test_what_is_signed_is_accepted_and_nothing_else(self, make):
        provider = make()
        values = make_values(provider, "charge.succeeded", order_id="A1", payment_id="77")
        signed = sign_webhook(provider, compose(provider, values))
        # The body is unsigned, so the provider is asked.
        assert provider.verify(signed.meta, b"{}")
        for change in [{"QUERY_STRING": "data.id=78"}, {"HTTP_X_REQUEST_ID": "other"}]:
            with pytest.raises(WebhookRefused) as raised:
                provider.verify({**signed.meta, **change}, signed.body)
            assert raised.value.reason == "mismatch"

    def test_the_next_request_is_another_event_and_the_same_one_is_not(self, make):
        provider = make()
        first, again, other = (
            self.parse(provider, (number, {"action": "payment.updated"}))[0]
            for number in ("1", "1", "2")
        )
        assert (first.dedup_key, first.fingerprint) == (again.dedup_key, again.fingerprint)
        assert first.dedup_key != other.dedup_key

    def test_what_was_fetched_is_the_event(self, installed):
        provider = get_provider("made")
        (event,) = self.parse(provider, ("1", {"status": "refunded", "external_reference": "B1"}))
        columns = provider.read_columns(provider.payload(dump_json(provider.confirm(event))))
        assert (columns["type"], columns["order_id"]) == ("charge.succeeded", "A1")
        assert columns["payment_key"] == event.payment_key


@pytest.fixture
def mercadopago():
    """The provider."""
    return find_preset("mercadopago")("made", SECRETS=["x" * 32])


@pytest.mark.parametrize("query", ["", "data.id=1&data.id=2", "id=1"])
def test_an_id_that_is_missing_or_comes_twice_is_no_event(mercadopago, query):
    (event,) = mercadopago.parse({**META, "QUERY_STRING": query}, b'{"data": {"id": "1"}}')
    assert (event.type, event.status) == ("", "failed")
