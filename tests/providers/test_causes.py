"""Causes: errors that differ only in ids, numbers and quoted values have one in common."""

from __future__ import annotations

import json
from importlib import import_module

import pytest
from django.core.exceptions import FieldError, ImproperlyConfigured, ValidationError
from django.db import IntegrityError, ProgrammingError
from django.template import TemplateDoesNotExist

from django_payment_webhooks.providers.causes import find_cause, is_bug
from django_payment_webhooks.retrying import describe


def raised(work):
    """Return the error that a function raises."""
    with pytest.raises(Exception) as caught:
        work()
    return caught.value


def cause_of(work):
    """Return the cause of what a function raises."""
    error = raised(work)
    return find_cause(error, repr(error))


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
        (repr(UnboundLocalError("x")), True),
        (repr(ZeroDivisionError("division by zero")), True),
        (repr(FieldError("Cannot resolve keyword 'x' into field.")), True),
        (repr(ImproperlyConfigured("x")), True),
        (repr(TemplateDoesNotExist("mail.txt")), True),
        (repr(ProgrammingError('relation "order" does not exist')), True),
        (repr(SyntaxError("invalid syntax")), True),
        (repr(IntegrityError("x")), False),
        (repr(ValidationError("x")), False),
        (repr(ValueError("no")), False),
        ("It waits for charge.succeeded.", False),
        ("", False),
    ],
)
def test_an_error_that_trying_again_can_not_help_is_a_bug(reason, answer):
    assert is_bug(reason) is answer


def test_an_error_that_was_raised_from_a_bug_is_one_and_from_what_was_expected_is_none():
    def ship(origin):
        raise ValueError("can't ship") from origin

    def reason_of(origin):
        return describe(raised(lambda: ship(origin)))

    missing = AttributeError("'NoneType' object has no attribute 'price'")
    assert is_bug(reason_of(missing))
    assert is_bug(reason_of(ImportError("No module named 'x'")))
    assert not is_bug(reason_of(KeyError("EUR")))  # caught to say what it means
    assert not is_bug(reason_of(None))
    found = find_cause(raised(lambda: ship(missing)), reason_of(missing))
    assert found.text == "can't ship from 'NoneType' object has no attribute 'price'"
