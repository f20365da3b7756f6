"""Forms, and what is stored of what stood beside a body."""

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from django_payment_webhooks.models import Event
from django_payment_webhooks.providers import Provider
from django_payment_webhooks.providers.bodies import (
    dump_form,
    dump_nested,
    fold,
    load_form,
    load_nested,
    unfold,
)


def test_a_form_is_read_and_written():
    assert load_form(b"OutSum=10.00&InvId=7&Shp_a=%D0%B0+b&empty=") == {
        "OutSum": "10.00",
        "InvId": "7",
        "Shp_a": "\u0430 b",
        "empty": "",
    }
    assert load_form(dump_form({"a": "1 &=", "b": "\u0430"})) == {"a": "1 &=", "b": "\u0430"}


@pytest.mark.parametrize("body", [b"a=1&a=2", b"text", b"{}", b"\xff=1", b"a=%ff"])
def test_what_is_no_form_or_says_a_thing_twice_is_an_error(body):
    with pytest.raises(ValueError):
        load_form(body)


@pytest.mark.parametrize(
    ("form", "document"),
    [
        ({"a": "1"}, {"a": "1"}),
        ({"a[b][c]": "1", "a[b][d]": "2"}, {"a": {"b": {"c": "1", "d": "2"}}}),
        ({"a[0][b]": "1", "a[1][b]": "2"}, {"a": {"0": {"b": "1"}, "1": {"b": "2"}}}),
    ],
)
def test_brackets_in_names_are_objects_in_objects(form, document):
    assert load_nested(dump_form(form)) == document
    assert dump_nested(document) == dump_form(form)


def test_a_list_is_written_as_its_indexes():
    assert dump_nested({"a": [{"b": 1}, 2]}) == dump_form({"a[0][b]": 1, "a[1]": 2})


@pytest.mark.parametrize(
    "body", [b"a=1&a[b]=2", b"a[b]=1&a=2", b"a=1&a=2", b"a[b]=1&a[b=2", b"a[b]", b"%ff=1"]
)
def test_a_nested_form_that_contradicts_itself_is_an_error(body):
    with pytest.raises(ValueError):
        load_nested(body)


def test_a_nested_form_has_as_many_levels_as_a_document(settings):
    settings.PAYMENT_WEBHOOKS_MAX_JSON_DEPTH = 3
    assert load_nested(b"a[b][c]=1")
    with pytest.raises(ValueError, match="PAYMENT_WEBHOOKS_MAX_JSON_DEPTH"):
        load_nested(b"a[b][c][d]=1")
    with pytest.raises(ValueError):
        load_nested(b"a" + b"[b]" * 100000 + b"=1")


def test_a_form_is_bounded(settings):
    settings.PAYMENT_WEBHOOKS_MAX_JSON_VALUES = 3
    assert len(load_form(b"a=1&b=2&c=3")) == 3
    with pytest.raises(ValueError, match="PAYMENT_WEBHOOKS_MAX_JSON_VALUES"):
        load_form(b"a=1&b=2&c=3&d=4")


@given(st.dictionaries(st.text(), st.text(), max_size=3), st.binary())
def test_what_is_folded_is_unfolded(beside, body):
    if body.startswith(b"beside the body: "):
        return
    assert unfold(fold(beside, body)) == (beside, body)


def test_without_anything_beside_it_a_body_is_stored_byte_for_byte():
    assert fold({}, b' {"a": 1} ') == b' {"a": 1} '


FIELDS = {"provider_event_id": "InvId", "type": "=paid", "order_id": "InvId"}


def test_a_webhook_can_come_by_get_where_the_provider_asks_with_it():
    provider = Provider("made", BODY_FORMAT="query", FIELDS=FIELDS, ANSWER_BODY="OK{InvId}")
    for request in (
        RequestFactory().get("/hook?InvId=7&OutSum=10"),
        RequestFactory().post("/hook", b"InvId=7&OutSum=10", content_type="text/plain"),
    ):
        body = provider.read_body(request)
        assert body == b"InvId=7&OutSum=10"
        (event,) = provider.parse(request.META, body)
        assert (event.order_id, event.type) == ("7", "paid")
        assert provider.answer([event]).content == b"OK7"


@pytest.mark.parametrize(
    ("template", "text"),
    [("[accepted]", "[accepted]"), ('{"code":0}', '{"code":0}'), ("OK{a.b}{missing}", "OK1")],
)
def test_an_answer_repeats_what_the_provider_wants_to_read(template, text):
    provider = Provider("made", ANSWER_BODY=template, ANSWER_TYPE="application/json")
    (event,) = provider.parse({}, b'{"event_id": "e", "type": "t", "a": {"b": 1}}')
    answer = provider.answer([event])
    assert (answer.content.decode(), answer["Content-Type"]) == (text, "application/json")


def test_a_repetition_that_counts_its_attempts_says_the_same():
    provider = Provider("made", IGNORED_FIELDS=["attempts", "meta.sent", "list.*.n"])
    bodies = [
        b'{"event_id": "e", "type": "t", "attempts": 1, "meta": {"sent": 1}, "list": [{"n": 1}]}',
        b'{"event_id": "e", "type": "t", "attempts": 2, "meta": {"sent": 2}, "list": [{"n": 2}]}',
        b'{"event_id": "e", "type": "t", "meta": {}, "list": [{}]}',
        b'{"event_id": "e", "type": "t", "meta": {"other": 1}, "list": [{}]}',
    ]
    prints = [provider.parse({}, body)[0].fingerprint for body in bodies]
    assert prints[0] == prints[1] == prints[2] != prints[3]


def test_a_ping_is_answered_and_a_webhook_is_none():
    provider = Provider("made", PING_METHODS=["HEAD", "GET"])
    assert provider.ping(RequestFactory().head("/hook")).status_code == 200
    assert provider.ping(RequestFactory().get("/hook")).content == b""
    assert provider.ping(RequestFactory().post("/hook")) is None


class Pinging(Provider):
    """A provider who asks first: with HEAD, with a challenge by GET, and with an unsigned form."""

    ping_methods = ("HEAD",)

    def ping(self, request):
        """Answer a challenge and the form."""
        if request.method == "GET":
            return HttpResponse("answer:" + request.GET["challenge"])
        if request.method == "POST" and request.body == b"webhook_id=7":
            return HttpResponse("pong")
        return super().ping(request)


def test_a_request_that_asks_first_is_answered_and_nothing_is_stored(
    db, settings, client, post, received_signals
):
    options = {"BACKEND": f"{__name__}.Pinging", "SECRETS": ["x" * 16]}
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"made": options, "other": {"SECRETS": ["y" * 16]}}
    path = "/v1/webhooks/payment/made"
    assert client.head(path).status_code == 200
    assert client.get(path + "?challenge=c1").content == b"answer:c1"
    assert post(b"webhook_id=7", "made").content == b"pong"
    assert client.put(path).status_code == 405
    assert post(b"webhook_id=8", "made").status_code == 401
    assert client.head("/v1/webhooks/payment/other").status_code == 405
    assert post(b"webhook_id=7", "other").status_code == 401
    assert not Event.objects.exists()
    # What carries no event is neither received nor refused.
    assert len(received_signals.of("webhook_rejected")) == 4
