"""Adyen: a list of items, each with its signature, and types that depend on success."""

from .contract import Contract


def item(code, success="true", **fields):
    """Return a webhook with one item that has the fields of Adyen."""
    made = {
        "pspReference": "PSP1",
        "merchantAccountCode": "Shop",
        "merchantReference": "A1",
        "amount": {"value": 1000, "currency": "EUR"},
        "eventCode": code,
        "eventDate": "2026-11-23T11:00:00+01:00",
        "success": success,
        **fields,
    }
    return {"live": "false", "notificationItems": [{"NotificationRequestItem": made}]}


REFUND = {"pspReference": "PSP2", "originalReference": "PSP1"}


class TestAdyen(Contract):
    def test_a_repetition_with_another_signature_is_the_same(self, make):
        provider = make()
        (first,), (again,) = (
            self.parse(provider, item("CAPTURE", additionalData={"hmacSignature": mac, "a": "1"}))
            for mac in ("before", "after the rotation")
        )
        assert (first.dedup_key, first.fingerprint) == (again.dedup_key, again.fingerprint)
        body = item("CAPTURE", additionalData={"hmacSignature": "before", "a": "2"})
        assert self.parse(provider, body)[0].fingerprint != first.fingerprint

    events = [
        (
            item("AUTHORISATION"),
            {
                "type": "charge.succeeded",
                "provider_event_id": "PSP1:AUTHORISATION:true",
                "occurred_at": "2026-11-23T10:00:00+00:00",
                "order_id": "A1",
                "payment_id": "PSP1",
                "money": "10.00 EUR",
                "refund_id": None,
            },
        ),
        # Of one reference, and another event than the first.
        (item("AUTHORISATION", "false"), {"type": "charge.failed", "payment_id": "PSP1"}),
        (
            item("REFUND", **REFUND),
            {"type": "refund.created", "payment_id": "PSP1", "refund_id": "PSP2"},
        ),
        (item("REFUND", "false", **REFUND), {"type": "refund.failed", "refund_id": "PSP2"}),
        (item("REFUND_FAILED", **REFUND), {"type": "refund.failed", "refund_id": "PSP2"}),
        (
            item("CHARGEBACK", pspReference="PSP3", originalReference="PSP1"),
            {"type": "dispute.opened", "payment_id": "PSP1", "dispute_id": "PSP3"},
        ),
        (
            item("CANCEL_OR_REFUND", additionalData={"modification.action": "refund"}, **REFUND),
            {"type": "refund.created", "payment_id": "PSP1", "refund_id": "PSP2"},
        ),
        # It was not captured: nothing goes back.
        (
            item(
                "CANCEL_OR_REFUND",
                additionalData={"modification.action": "cancel"},
                pspReference="PSP4",
                originalReference="PSP1",
            ),
            {"type": "CANCEL_OR_REFUND", "refund_id": None},
        ),
        (item("CHARGEBACK_REVERSED", **REFUND), {"type": "dispute.won"}),
        (item("PREARBITRATION_WON", **REFUND), {"type": "dispute.won", "dispute_id": "PSP2"}),
        (item("PREARBITRATION_LOST", **REFUND), {"type": "dispute.lost", "dispute_id": "PSP2"}),
        (item("SECOND_CHARGEBACK", **REFUND), {"type": "dispute.lost"}),
        (item("CHARGEBACK", "false", **REFUND), {"type": "CHARGEBACK"}),
        (item("REPORT_AVAILABLE"), {"type": "REPORT_AVAILABLE"}),
        (
            item("CAPTURE", amount={"value": 1000, "currency": "CLP"}, **REFUND),
            {"type": "charge.succeeded", "money": "10.00 CLP", "payment_id": "PSP1"},
        ),
    ]
