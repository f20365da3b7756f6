"""When an event is what its type says."""

import pytest

from django_payment_webhooks.providers.types import compile_types, find_rule, find_type

PAID = compile_types({"order.updated date_paid=?* status=done|part*": "charge.succeeded"})


@pytest.mark.parametrize(
    ("payload", "is_paid"),
    [
        ({"date_paid": "2026-11-23", "status": "done"}, True),
        ({"date_paid": "2026-11-23", "status": "partial"}, True),
        ({"date_paid": "2026-11-23", "status": "undone"}, False),
        ({"date_paid": "", "status": "done"}, False),
        ({"date_paid": None, "status": "done"}, False),
        ({"status": "done"}, False),
    ],
)
def test_the_value_of_a_condition_can_be_a_pattern(payload, is_paid):
    expected = "charge.succeeded" if is_paid else "order.updated"
    assert find_type(PAID, "order.updated", payload) == expected


def test_the_example_of_a_condition_fulfils_it():
    (rule,) = PAID
    payload = {condition.path: condition.example for condition in rule.conditions}
    assert payload == {"date_paid": "11", "status": "done"}
    assert find_rule(PAID, "charge.succeeded").fits("order.updated", payload)
