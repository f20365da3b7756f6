"""FastSpring: a list of events, some of which are of test mode."""

import json

from .contract import Contract


def event(event_type, number=1, live=True, **data):
    """Return a webhook with one event that has the fields of FastSpring."""
    made = {"id": f"e{number}", "processed": False, "created": 1700000000000, "live": live}
    return {"events": [{**made, "type": event_type, "data": data}]}


ORDER = {"order": "OVI8", "id": "OVI8", "reference": "GAR-1", "currency": "USD", "total": 20.5}
ORDER.update(completed=True, tags={"order_id": "A1"})


class TestFastSpring(Contract):
    events = [
        (
            event("order.completed", **ORDER),
            {
                "type": "charge.succeeded",
                "provider_event_id": "e1",
                "occurred_at": "2023-11-14T22:13:20+00:00",
                "order_id": "A1",
                "payment_id": "OVI8",
                "money": "20.50 USD",
            },
        ),
        (event("order.completed", 2, live=False, **ORDER), {"type": "charge.succeeded"}),
        (event("order.completed", 3, **dict(ORDER, tags={})), {"order_id": "GAR-1"}),
        (event("order.failed", 4, **ORDER), {"type": "charge.failed"}),
        (
            event(
                "return.created",
                5,
                **{"return": "Ret1", "totalReturn": 5, "currency": "USD", "original": ORDER},
            ),
            {
                "type": "refund.created",
                "payment_id": "OVI8",
                "order_id": "A1",
                "refund_id": "Ret1",
                "money": "5.00 USD",
            },
        ),
    ]

    def test_each_event_of_a_webhook_is_one_of_its_own(self, make):
        items = [body["events"][0] for body, _ in self.events]
        events = make().parse({}, json.dumps({"events": items}).encode())
        assert [each.provider_event_id for each in events] == ["e1", "e2", "e3", "e4", "e5"]
