"""Bodies in XML are read like JSON, and only in safe ones."""

import importlib.util
from unittest import mock

import pytest

from django_payment_webhooks.providers import elements
from django_payment_webhooks.providers.elements import dump_xml, load_xml

BOMB = b"""<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>
<a>&c;</a>"""


def test_elements_are_objects_arrays_are_lists_and_the_rest_is_text():
    body = b"""
        <event>
          <kind> paid </kind>
          <order-id nil="true"/>
          <items type="array"><item><id>1</id></item><item><id>2</id></item></items>
          <none type="array"/>
          <empty></empty>
        </event>"""
    assert load_xml(body) == {
        "event": {
            "kind": "paid",
            "order-id": None,
            "items": [{"id": "1"}, {"id": "2"}],
            "none": [],
            "empty": "",
        }
    }


def test_what_is_written_is_read_back():
    document = {"event": {"a": "<&>", "b": None, "c": [{"d": "1"}, "e"], "f": {"g": "ü"}}}
    assert load_xml(dump_xml(document)) == document


@pytest.mark.parametrize("body", [b"", b"{}", b"<a>", b"<a/><b/>", b"\xff\xfe", b"<a>\0</a>"])
def test_what_is_not_xml_is_a_value_error(body):
    with pytest.raises(ValueError, match="XML"):
        load_xml(body)


@pytest.mark.parametrize(
    "body", [BOMB, b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>']
)
def test_entities_are_refused(body):
    with pytest.raises(ValueError, match="Entit"):
        load_xml(body)


def test_a_document_with_too_many_values_is_refused(settings):
    settings.PAYMENT_WEBHOOKS_MAX_JSON_VALUES = 10
    with pytest.raises(ValueError, match="10 values"):
        load_xml(b"<a>" + b"".join(b"<b%d/>" % number for number in range(11)) + b"</a>")


def test_a_missing_package_names_the_extra(monkeypatch):
    assert importlib.util.find_spec("defusedxml")
    monkeypatch.setattr(elements, "find_spec", mock.Mock(return_value=None))
    with pytest.raises(ValueError, match=r"django-payment-webhooks\[xml\]"):
        load_xml(b"<a/>")
