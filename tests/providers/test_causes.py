"""Causes: errors that differ only in ids, numbers and quoted values have one in common."""

from __future__ import annotations

import json
from importlib import import_module

import pytest

from django_payment_webhooks.providers.causes import equalize, find_cause, is_bug


def raised(work):
    """Return the error that a function raises."""
    with pytest.raises(Exception) as caught:
        work()
    return caught.value


def cause_of(work):
    """Return the cause of what a function raises."""
    error = raised(work)
    return find_cause(error, repr(error))


@pytest.mark.parametrize(
    ("one", "other", "text"),
    [
        ("ValueError('order 17 is gone')", "ValueError('order 4711 is gone')", "order … is gone"),
        ("order A-17 costs 3.50", "order B-2 costs 99", "order … costs …"),
        (
            "6f1c0a3e-0f1b-4c57-9a6e-9c2b6a1f7d3e is locked",
            "00000000-0f1b-4c57-9a6e-9c2b6a1f7d3e is locked",
            "… is locked",
        ),
        ("no account of erika@example.org", "no account of max.m@example.com", "no account of …"),
        ("no customer 'Erika Mustermann'", 'no customer "Max"', "no customer …"),
        ("<Order object at 0x7f3a10>", "<Order object at 0x55aa>", "<Order object at …>"),
        ("two\n  lines", "two lines", "two lines"),
        ('ValueError("it isn\'t 17")', 'ValueError("it isn\'t 18")', "it isn't …"),
    ],
)
def test_what_differs_from_event_to_event_is_left_out_of_a_text(one, other, text):
    assert equalize(one) == equalize(other) == text


def test_the_names_that_a_bug_quotes_are_kept():
    assert equalize("KeyError('warehouse_id')") == "warehouse_id"
    text = "'NoneType' object has no attribute 'price'"
    assert equalize(repr(AttributeError(text))) == text
    assert equalize(repr(ValueError(text))) == "… object has no attribute …"


def test_a_text_that_was_cut_is_equalized_like_one_that_was_not():
    assert equalize("ValueError('order 17 is go") == "order … is go"


def test_the_type_and_the_place_distinguish_causes_and_the_line_does_not():
    def ship():
        return {}["warehouse_id"]

    def ship_later():
        return {}["warehouse_id"]

    def refuse():
        raise ValueError("warehouse_id")

    assert cause_of(ship).key == cause_of(ship).key
    assert len({cause_of(work).key for work in (ship, ship_later, refuse)}) == 3
    found = cause_of(ship)
    assert found[1:] == ("KeyError", f"{__name__}.ship", "warehouse_id")
    assert len(found.key) == 32


def test_the_place_is_the_hosts_own_code_and_not_a_librarys():
    def read():
        return json.loads("{")

    found = cause_of(read)
    assert (found.exception, found.place) == ("json.decoder.JSONDecodeError", f"{__name__}.read")


def test_the_place_of_an_import_that_fails_is_where_the_host_asked_for_it():
    def load():
        import_module("no_such_module")

    assert cause_of(load).place == f"{__name__}.load"


def test_an_error_that_no_code_of_the_host_raised_has_the_place_of_the_library():
    error = raised(lambda: json.loads("{"))
    while error.__traceback__.tb_next is not None:
        error = error.with_traceback(error.__traceback__.tb_next)
    assert find_cause(error, repr(error)).place == "json.decoder.raw_decode"


def test_a_body_that_could_not_be_parsed_has_its_provider_for_a_place():
    found = find_cause(None, "Expecting value: line 1 column 7", "stripe")
    assert found[1:] == ("", "stripe", "Expecting value: line … column …")
    assert found.key != find_cause(None, "Expecting value: line 1 column 7", "adyen").key


@pytest.mark.parametrize(
    ("reason", "answer"),
    [
        (repr(KeyError("warehouse_id")), True),
        (repr(ModuleNotFoundError("No module named 'shop'")), True),
        (repr(ValueError("no")), False),
        ("It waits for charge.succeeded.", False),
        ("", False),
    ],
)
def test_an_error_that_trying_again_can_not_help_is_a_bug(reason, answer):
    assert is_bug(reason) is answer
