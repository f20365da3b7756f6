"""A type can depend on another field, and nothing is what its name alone says."""

import pytest

from django_payment_webhooks.providers.types import compile_types, find_rule, find_type

TYPES = {
    "REFUND success=true": "refund.created",
    "REFUND success=false": "refund.failed",
    "paid|settled": "charge.succeeded",
    "refund.* .status=done|closed ok=true": "refund.created",
    "refund.*": "refund.pending",
    "charge.failed .final=true": "charge.failed",
    "a type with spaces": "dispute.opened",
}


@pytest.mark.parametrize(
    ("provider_type", "payload", "own_type"),
    [
        ("REFUND", {"success": "true"}, "refund.created"),
        ("REFUND", {"success": True}, "refund.created"),
        ("REFUND", {"success": "false"}, "refund.failed"),
        ("REFUND", {"success": "TRUE"}, "REFUND"),
        ("REFUND", {}, "REFUND"),
        ("settled", {}, "charge.succeeded"),
        ("refund.updated", {"object": {"status": "done"}, "ok": True}, "refund.created"),
        ("refund.updated", {"object": {"status": "done"}, "ok": False}, "refund.pending"),
        ("refund.updated", {"object": {"status": "open"}, "ok": True}, "refund.pending"),
        ("a type with spaces", {}, "dispute.opened"),
        ("other", {}, "other"),
        # It has the name of one of ours, and is none.
        ("charge.failed", {"object": {"final": False}}, "unmapped:charge.failed"),
        ("charge.succeeded", {}, "unmapped:charge.succeeded"),
    ],
)
def test_the_first_key_that_fits_counts(provider_type, payload, own_type):
    assert find_type(compile_types(TYPES, "object"), provider_type, payload) == own_type


def test_a_rule_for_one_of_our_types_is_found_for_sending():
    rules = compile_types(TYPES, "object")
    rule = find_rule(rules, "charge.failed")
    assert (rule.names, rule.conditions[0].path) == (("charge.failed",), "object.final")
    assert find_rule(rules, "dispute.won") is None


# ---- conditions

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
