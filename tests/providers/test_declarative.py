"""What the options of a provider mean, and what a class of its own can override."""

import datetime
import hmac
import json
from decimal import Decimal

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory, override_settings
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.providers import Provider, fields
from django_payment_webhooks.providers.fingerprints import find_fingerprint
from django_payment_webhooks.providers.payloads import UNSTORABLE, ParseError, dump_json
from django_payment_webhooks.receiving import receive_events

from ..factories import SECRET, PayloadFactory, sign
from .documents import DEEP_VALUES, OBJECTS, VALUES

MOMENT = datetime.datetime(2026, 11, 23, 10, 0, 0, tzinfo=datetime.timezone.utc)


# ---- options


def make(**options):
    """Return a provider with these options."""
    return Provider("made", **options)


def test_an_option_sets_the_attribute_of_its_name():
    provider = make(SECRETS=["s"], TOLERANCE=5, TYPES={"paid": "charge.succeeded"})
    assert (provider.name, provider.secrets, provider.tolerance) == ("made", ["s"], 5)
    assert provider.types == {"paid": "charge.succeeded"}
    assert (Provider.secrets, Provider.tolerance, Provider.types) == ((), 300, {})


@pytest.mark.parametrize(
    "option",
    [
        "SECRET",
        "NAME",
        "SIGNATURE",
        "TIMESTAMP_TOLERANCE",
        # Methods, what is private, and what only a class can say.
        "KEYS",
        "VERIFY",
        "_KEYS",
        "__DOC__",
        "HAS_SECRETS",
        "VERIFIES_BY_OPTIONS",
    ],
)
def test_an_option_that_does_not_exist_is_an_error(option):
    with pytest.raises(
        ImproperlyConfigured, match="%s is not an option of the provider made" % option
    ):
        make(**{option: "x"})


def test_the_option_fields_changes_only_the_fields_that_it_names():
    provider = make(FIELDS={"order_id": "order.number", "invoice": "data.invoice"})
    assert provider.fields == dict(Provider.fields, order_id="order.number", invoice="data.invoice")
    assert "invoice" not in Provider.fields


class TersePartner(Provider):
    """An invented partner of whom only this is known."""

    fields = {"provider_event_id": "id", "type": "kind"}


def test_a_provider_that_says_nothing_about_a_field_has_none_of_it():
    before = timezone.now()
    (event,) = TersePartner("terse").parse({}, b'{"id": "e1", "kind": "paid"}')
    assert (event.provider_event_id, event.type, event.order_id) == ("e1", "paid", "")
    assert before <= event.occurred_at <= timezone.now()
    assert not any(TersePartner("terse").read({"id": "e1", "kind": "paid"}).values())


def parse(payload, provider=None, meta=()):
    """Return the only event that is found in a payload. Raises ``ParseError`` for none."""
    provider = provider or make()
    beside = provider.read_beside(dict(meta))
    (event,) = provider.parse_events(beside, json.dumps(payload).encode())
    return event


def parse_unparsed(provider, body, meta=()):
    """Return the event that is kept of a body that can't be parsed."""
    (event,) = provider.parse(dict(meta), body)
    assert (event.type, event.status, event.pk) == ("", Event.FAILED, None)
    assert event.provider_event_id.startswith("unparsed:")
    assert (event.body, event.due_at, event.enqueue_at) == (body, None, None)
    assert event.finished_at == event.occurred_at
    return event


def test_the_default_partner_has_its_fields_where_the_documentation_says():
    payload = PayloadFactory(event_id="evt_7", data__order_id="A7")
    event = parse(payload)
    assert (event.provider_event_id, event.type) == ("evt_7", "charge.succeeded")
    assert (event.order_id, event.occurred_at) == ("A7", MOMENT)
    assert (event.status, event.pk) == (Event.RECEIVED, None)
    assert event.fingerprint == find_fingerprint(payload)


def test_unknown_fields_are_ignored():
    event = parse(PayloadFactory(event_id="e", data__order_id="A", extra={"deep": [1]}))
    assert event.order_id == "A"


def test_types_get_the_names_of_the_handlers_and_others_keep_theirs():
    provider = make(TYPES={"paid": "charge.succeeded"})
    assert parse(PayloadFactory(type="paid"), provider).type == "charge.succeeded"
    assert parse(PayloadFactory(type="void"), provider).type == "void"


def test_numbers_are_accepted_as_identifiers():
    event = parse(PayloadFactory(event_id=17, type=3, data__order_id=0))
    assert (event.provider_event_id, event.type, event.order_id) == ("17", "3", "0")


@pytest.mark.parametrize("order_id", [None, ""])
def test_an_event_needs_no_order(order_id):
    assert parse(PayloadFactory(data__order_id=order_id)).order_id == ""
    assert parse({"event_id": "e", "type": "t"}).order_id == ""


def test_an_event_that_says_no_time_happened_when_it_came():
    before = timezone.now()
    for nothing in (None, ""):
        event = parse(PayloadFactory(created_at=nothing))
        assert before <= event.occurred_at <= timezone.now()


@pytest.mark.parametrize("value", ["soon", "1712051212045", 1712051212045, 20180124, True, []])
def test_an_event_whose_time_can_not_be_read_is_kept_as_failed_and_has_no_other_time(value):
    body = json.dumps(PayloadFactory(created_at=value)).encode()
    kept = parse_unparsed(make(), body)
    assert kept.error.startswith("created_at is ")
    assert "TIME_FORMAT" in kept.error


ODD_ORDERS = [False, True, 1234.0, {"id": 1}, [], "  ", "x" * 300, "a\0", "\ud800"]


@pytest.mark.parametrize("order_id", ODD_ORDERS, ids=ascii)
def test_an_event_whose_order_is_no_identifier_is_an_event_without_order(order_id):
    event = parse(PayloadFactory(data__order_id=order_id, data__charge_id=order_id))
    assert (event.order_id, event.order_key) == ("", "")
    assert (event.payment_id, event.payment_key, event.status) == ("", "", Event.RECEIVED)


@pytest.mark.parametrize(
    ("field", "path"),
    [("event_id", "event_id"), ("type", "type")],
)
@pytest.mark.parametrize(
    ("value", "what"),
    [
        (True, "is missing, or is neither a string nor an integer"),
        (1.5, "is missing, or is neither a string nor an integer"),
        ([], "is missing, or is neither a string nor an integer"),
        ({"id": 1}, "is missing, or is neither a string nor an integer"),
        ("  ", "is blank, or longer than 255 characters"),
        ("x" * 256, "is blank, or longer than 255 characters"),
        ("a\0", "contains a NUL or an unpaired surrogate"),
        ("\ud800", "contains a NUL or an unpaired surrogate"),
    ],
)
def test_a_field_that_can_not_be_read_is_named(field, path, value, what):
    with pytest.raises(ParseError) as raised:
        parse(PayloadFactory(**{field: value}))
    assert str(raised.value).startswith("%s %s" % (path, what))
    assert (raised.value.status, raised.value.reason) == (400, "unparsed")
    kept = parse_unparsed(make(), json.dumps(PayloadFactory(**{field: value})).encode())
    assert kept.error == str(raised.value)


@pytest.mark.parametrize("field", ["event_id", "type"])
@pytest.mark.parametrize("value", [None, ""])
def test_an_event_has_an_id_and_a_type(field, value):
    with pytest.raises(ParseError, match="^%s is " % field):
        parse(PayloadFactory(**{field: value}))


def test_a_header_that_is_missing_is_a_missing_field():
    provider = make(FIELDS={"type": "header:X-Type"})
    assert parse(PayloadFactory(), provider, {"HTTP_X_TYPE": "shipped"}).type == "shipped"
    for meta in ({}, {"HTTP_X_TYPE": ""}, {"HTTP_X_TYPE": " "}):
        with pytest.raises(ParseError, match="^header:X-Type is "):
            parse(PayloadFactory(), provider, meta)


def test_every_event_of_a_webhook_has_its_own_part_of_the_body():
    provider = make(EVENTS_PATH="list.*")
    items = [PayloadFactory(event_id="e1"), PayloadFactory(event_id="e2")]
    events = provider.parse({}, json.dumps({"list": items, "more": 1}).encode())
    assert [event.provider_event_id for event in events] == ["e1", "e2"]
    assert [provider.payload(event.body) for event in events] == items
    assert [event.fingerprint for event in events] == [find_fingerprint(item) for item in items]


def test_a_single_event_keeps_the_body_byte_for_byte():
    body = b' {"type":"t" , "event_id": "e\\u0031", "n": 1.0e0}\r\n'
    (event,) = make().parse({}, body)
    assert (event.provider_event_id, event.body) == ("e1", body)


@pytest.mark.parametrize(
    "document", [{}, {"list": None}, {"list": {}}, {"list": "ab"}, {"list": 3}, {"list": []}]
)
def test_a_webhook_without_its_list_of_events_can_not_be_parsed(document):
    kept = parse_unparsed(make(EVENTS_PATH="list.*"), json.dumps(document).encode())
    assert kept.error == "The body has no list of events at list.*."


@pytest.mark.parametrize("item", [None, 1, "text", []])
def test_one_event_that_is_no_object_spoils_the_webhook(item):
    body = json.dumps({"list": [PayloadFactory(), item]}).encode()
    kept = parse_unparsed(make(EVENTS_PATH="list.*"), body)
    assert kept.error == "The event is not a JSON object."


def test_the_only_event_can_be_deep_in_the_body():
    payload = PayloadFactory(event_id="e9")
    provider = make(EVENTS_PATH="wrapped.event")
    event = parse({"wrapped": {"event": payload}}, provider)
    assert event.provider_event_id == "e9"
    assert provider.payload(event.body) == payload


def test_read_gives_the_fields_that_have_no_column():
    payload = PayloadFactory(data__refund_id="re_1", data__amount=5)
    data = make().read(payload)
    assert sorted(data) == ["amount", "charge_id", "currency", "dispute_id", "refund_id"]
    assert (data["refund_id"], data["amount"], data["dispute_id"]) == ("re_1", 5, None)


def test_amounts_that_are_numbers_are_exact():
    body = b'{"event_id": "e", "type": "t", "data": {"amount": 10.10}}'
    provider = make()
    assert provider.read(provider.payload(body))["amount"] == Decimal("10.10")


def test_a_provider_can_override_a_method(transactional_db, settings, post):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"odd": {"BACKEND": __name__ + ".OddProvider"}}
    assert post(b"a=1", "odd").status_code == 401
    answer = post(b"type=charge.succeeded&id=17", "odd", HTTP_X_TOKEN="good")
    assert (answer.status_code, answer.json()) == (200, {"status": "accepted", "event_id": "17"})
    assert Event.objects.get().payload == {"type": "charge.succeeded", "id": "17"}


class OddProvider(Provider):
    """A provider who sends forms, and a token instead of a signature."""

    def verify(self, meta, body):
        """Compare the token."""
        if not hmac.compare_digest(meta.get("HTTP_X_TOKEN", ""), "good"):
            raise WebhookRefused(401, "mismatch", "Wrong token.")
        return "token"

    def decode(self, body):
        """Read a form."""
        return dict(pair.split("=") for pair in body.decode().split("&"))

    fields = {"provider_event_id": "id", "type": "type", "order_id": "order", "occurred_at": "at"}


# ---- parse never raises


@pytest.mark.parametrize("options", [{}, {"EVENTS_PATH": "list.*"}, {"EVENTS_PATH": "list"}])
@given(body=st.binary() | st.builds(dump_json, OBJECTS))
def test_any_body_is_an_event_or_is_kept(options, body):
    (event,) = make(**options).parse({}, body)
    assert (event.type, event.status, event.body) == ("", Event.FAILED, body)


@given(
    st.dictionaries(
        st.sampled_from(["event_id", "type", "created_at", "data"]),
        VALUES | st.fixed_dictionaries({"order_id": VALUES}),
    )
)
def test_any_fields_are_an_event_or_are_kept(document):
    body = dump_json({"event_id": "e", "type": "t", **document})
    (event,) = make().parse({}, body)
    assert event.status in (Event.RECEIVED, Event.FAILED)
    assert bool(event.type) == (event.status == Event.RECEIVED)
    assert event.body == body


def nest(levels, opening=b"[", closing=b"]"):
    """Return the body of a webhook of one event that has this many levels."""
    inside = opening * (levels - 4) + b"1" + closing * (levels - 4)
    return b'{"list": [{"event_id": "e", "type": "t", "a": {"a": ' + inside + b"}}]}"


@pytest.mark.parametrize("path", ["", "list.*", "list.0"])
@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("levels", [31, 200, 320, 480, 700, 900, 960, 990, 1000, 3000, 5000, 50000])
def test_a_deep_body_is_an_event_or_is_kept_whatever_the_setting_allows(
    settings, path, brackets, levels
):
    settings.PAYMENT_WEBHOOKS_MAX_JSON_DEPTH = 5000
    body = nest(levels, *brackets)
    provider = make(EVENTS_PATH=path, FIELDS={} if path else {"event_id": "no", "type": "no"})
    (event,) = provider.parse({}, body)
    if event.type:
        assert event.fingerprint
    else:
        assert "5000 levels (PAYMENT_WEBHOOKS_MAX_JSON_DEPTH)" in event.error or not path


class Faulty(Provider):
    """A provider whose class has a fault."""

    events_path = "list.*"


@pytest.mark.parametrize(
    "hook", ["decode", "split", "find_events", "encode", "parse_event", "read_field"]
)
@pytest.mark.parametrize("error", [KeyError("a\0\ud800"), TypeError("x" * 9999), RuntimeError()])
def test_a_fault_of_a_class_is_kept_with_its_name(monkeypatch, hook, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(Faulty, hook, fail)
    kept = parse_unparsed(Faulty("faulty"), batch(2))
    assert kept.error.startswith(f"The class of the provider raised {type(error).__name__}: ")
    assert len(kept.error) <= 1000
    assert kept.error.endswith("…") is isinstance(error, TypeError)
    assert not UNSTORABLE.search(kept.error)


def test_a_webhook_that_a_faulty_class_can_not_read_is_received_once_it_is_fixed(
    transactional_db, settings, post, published, monkeypatch
):
    options = {"SECRETS": [SECRET], "BACKEND": f"{__name__}.Faulty"}
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": options}
    body = batch(1)
    with monkeypatch.context() as patch:
        patch.setattr(Faulty, "find_events", lambda provider, document: document["missing\0"])
        answer = post(body, HTTP_X_SIGNATURE=sign(body))
        kept = Event.objects.get()
        assert (answer.status_code, answer.json()) == (400, {"error": kept.error})
        assert (kept.status, bytes(kept.body), published()) == (Event.FAILED, body, [])
        assert "KeyError" in kept.error
    assert replay(kept)
    received = Event.objects.get(status=Event.RECEIVED)
    assert (received.provider_event_id, published()) == ("e0", [received.pk])


# ---- webhooks of many events


@given(st.lists(OBJECTS, min_size=1, max_size=3), DEEP_VALUES, st.sampled_from(["list", "a.b"]))
def test_each_event_has_exactly_its_part_of_the_document(items, deep, path):
    items = [
        {**item, "deep": [deep][: index % 2], "event_id": f"e{index}", "type": "t"}
        for index, item in enumerate(items)
    ]
    document = items
    for step in reversed(path.split(".")):
        document = {step: document, "more": 1}
    provider = make(EVENTS_PATH=f"{path}.*")
    with override_settings(PAYMENT_WEBHOOKS_MAX_JSON_DEPTH=40):
        events = provider.parse({}, dump_json(document))
        assert [event.provider_event_id for event in events] == [item["event_id"] for item in items]
        for event, item in zip(events, items):
            payload = provider.payload(event.body)
            assert payload == item
            assert dump_json(payload) == dump_json(item) == event.body
            assert event.fingerprint == find_fingerprint(item)


class FormPartner(Provider):
    """An invented provider who sends several forms at once, one a line."""

    events_path = "lines.*"
    fields = {"provider_event_id": "id", "type": "type"}

    def decode(self, body):
        """Read the forms."""
        forms = [
            dict(pair.split("=") for pair in line.split("&")) for line in body.decode().split()
        ]
        return forms[0] if len(forms) == 1 else {"lines": forms}

    def encode(self, payload):
        """Write a form."""
        return "&".join(f"{name}={value}" for name, value in payload.items()).encode()


def test_a_class_that_reads_another_format_writes_its_parts_in_it():
    provider = FormPartner("forms")
    events = provider.parse({}, b"id=1&type=a\nid=2&type=b\n")
    assert [event.body for event in events] == [b"id=1&type=a", b"id=2&type=b"]
    assert [provider.payload(event.body) for event in events] == [
        {"id": "1", "type": "a"},
        {"id": "2", "type": "b"},
    ]


def batch(count):
    """Return the body of a webhook of this many events, each of about 930 bytes."""
    events = [PayloadFactory(event_id="e%d" % number, note="x" * 750) for number in range(count)]
    return json.dumps({"list": events}).encode()


@pytest.fixture
def decoded(monkeypatch):
    """Count how often a body is decoded."""
    bodies = []
    decode = Provider.decode
    monkeypatch.setattr(
        Provider, "decode", lambda self, body: bodies.append(body) or decode(self, body)
    )
    return bodies


@pytest.fixture
def found(monkeypatch):
    """Record what is looked for in a document: the path, and where the search begins."""
    searches = []
    find = fields.find
    monkeypatch.setattr(fields, "find", lambda *args: searches.append(args) or find(*args))
    return searches


def test_a_webhook_of_a_thousand_events_is_decoded_once(decoded, found):
    provider = make(EVENTS_PATH="list.*")
    body = batch(1000)
    events = provider.parse({}, body)
    assert len(events) == len({event.provider_event_id for event in events}) == 1000
    assert decoded == [body]
    # Of each event its five fields, and its type once more for the id.
    assert len(found) == 1000 * (5 + 1)


@pytest.mark.parametrize(("count", "limit"), [(3, 3), (1000, 1000)])
def test_as_many_events_as_the_settings_allow_are_parsed(settings, count, limit):
    settings.PAYMENT_WEBHOOKS_MAX_EVENTS = limit
    assert len(make(EVENTS_PATH="list.*").parse({}, batch(count))) == count


def test_more_events_than_the_settings_allow_can_not_be_parsed():
    kept = parse_unparsed(make(EVENTS_PATH="list.*"), batch(1001))
    assert kept.error == "The body has 1001 events, more than 1000 (PAYMENT_WEBHOOKS_MAX_EVENTS)."


@pytest.mark.parametrize("text", ["x", "\u00e9", "\u20ac", "\U0001f600", "\0", "\ud800", '"', "\\"])
def test_the_events_of_a_webhook_take_no_more_bytes_than_the_webhook(text):
    items = [
        {"event_id": "e%03d" % number, "type": "t", "text": text * 200, "n": Decimal("1.50")}
        for number in range(1000)
    ]
    body = dump_json({"list": items})
    events = make(EVENTS_PATH="list.*").parse({}, body)
    # Without the list, its brackets and the commas.
    assert sum(len(event.body) for event in events) == len(body) - len('{"list":[]}') - 999


def test_a_webhook_of_a_thousand_events_is_stored_in_as_many_bytes(
    transactional_db, send_batch, published
):
    body = batch(1000)
    assert send_batch(body).status_code == 200
    stored = [len(part) for part in Event.objects.values_list("body", flat=True)]
    assert (len(stored), len(published())) == (1000, 1000)
    assert sum(stored) <= len(body)


@pytest.fixture
def send_batch(settings, post):
    """Send a webhook whose events are in a list."""
    options = {"SECRETS": [SECRET], "EVENTS_PATH": "list.*"}
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": options}
    return lambda body: post(body, HTTP_X_SIGNATURE=sign(body))


def test_a_webhook_of_too_many_events_is_kept_and_received_once_that_is_allowed(
    transactional_db, settings, send_batch, published
):
    settings.PAYMENT_WEBHOOKS_MAX_EVENTS = 2
    body = batch(3)
    answer = send_batch(body)
    (kept,) = Event.objects.all()
    assert (answer.status_code, answer.json()["error"]) == (400, kept.error)
    assert "PAYMENT_WEBHOOKS_MAX_EVENTS" in kept.error
    assert (kept.status, bytes(kept.body), published()) == (Event.FAILED, body, [])

    settings.PAYMENT_WEBHOOKS_MAX_EVENTS = 3
    assert replay(kept)
    received = Event.objects.filter(status=Event.RECEIVED).order_by("pk")
    assert [event.provider_event_id for event in received] == ["e0", "e1", "e2"]
    assert sorted(published()) == [event.pk for event in received]


# ---- the largest invoice


def invoice():
    """Return the body of an event about an invoice of 1 000 lines: 979 kB, over 50 000 values."""
    details = {"detail_%02d" % number: number for number in range(50)}
    lines = [dict(details, text="line %0120d" % number) for number in range(1000)]
    payload = PayloadFactory(event_id="evt_1", data__order_id="A1", data__lines=lines)
    return json.dumps(payload).encode()


def test_an_invoice_of_a_thousand_lines_is_accepted_once_its_values_are_allowed(
    transactional_db, settings, webhook, published
):
    body = invoice()
    assert 950 * 1000 < len(body) < settings.PAYMENT_WEBHOOKS_MAX_BODY_SIZE
    answer = webhook(body)
    kept = Event.objects.get()
    reason = "it has more than 50000 values (PAYMENT_WEBHOOKS_MAX_JSON_VALUES)"
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": "The body can't be read: %s." % reason},
    )
    assert (kept.status, published()) == (Event.FAILED, [])

    settings.PAYMENT_WEBHOOKS_MAX_JSON_VALUES = 60000
    assert webhook(body).json() == {"status": "accepted", "event_id": "evt_1"}
    event = Event.objects.get(status=Event.RECEIVED)
    assert len(event.payload["data"]["lines"]) == 1000
    assert published() == [event.pk]
    assert replay(kept)
    assert Event.objects.count() == 2


# ---- the answer


def test_the_answer_says_of_each_event_whether_it_is_new():
    events = [Event(provider_event_id="evt_1", type="t"), Event(provider_event_id="evt_2")]
    events[0].is_new, events[1].is_new = True, False
    assert json.loads(make().answer(events).content.decode()) == {
        "events": [
            {"status": "accepted", "event_id": "evt_1"},
            {"status": "duplicate", "event_id": "evt_2"},
        ]
    }
    assert json.loads(make().answer(events[:1]).content.decode()) == {
        "status": "accepted",
        "event_id": "evt_1",
    }


@pytest.mark.parametrize("status", [400, 200])
def test_the_answer_to_what_could_not_be_parsed_says_what_is_wrong(status):
    provider = make(PARSE_ERROR_STATUS=status)
    events = provider.parse({}, b"{}")
    with pytest.raises(ParseError) as raised:
        provider.answer(events)
    assert str(raised.value) == events[0].error
    assert (raised.value.status, raised.value.reason) == (status, "unparsed")


# ---- other roads


def test_what_was_learned_on_another_road_is_stored_once(
    order, webhook, published, run_due, shop_state
):
    payload = PayloadFactory(event_id="evt_1", data__order_id="A1")
    body = json.dumps(payload).encode()
    (event,) = receive_events(get_provider("default"), {}, body)
    assert (event.is_new, event.verified_by, published()) == (True, "", [event.pk])
    run_due()
    assert webhook(body=body).json() == {"status": "duplicate", "event_id": "evt_1"}
    assert (run_due(), published(), Event.objects.count()) == ([], [], 1)
    assert shop_state()["ledger"] == [("payment", "A1")]


CHALLENGE = "header:X-Challenge ~ ^([a-f0-9]{4})$"


class SigningProvider(Provider):
    """A provider that wants its challenge turned around."""

    def answer_challenge(self, challenge):
        return challenge[::-1]


@pytest.mark.parametrize(
    ("method", "challenge", "answer"),
    [
        ("GET", "abc1", b"abc1"),
        ("GET", "<b>", None),
        ("GET", "", None),
        ("POST", "abc1", None),
        ("HEAD", "abc1", None),
    ],
)
def test_a_challenge_is_repeated_if_it_looks_like_one(method, challenge, answer):
    request = RequestFactory().generic(method, "/", HTTP_X_CHALLENGE=challenge)
    response = Provider("asked", CHALLENGE=CHALLENGE).ping(request)
    assert (response and response.content) == answer
    assert response is None or response["Content-Type"].startswith("text/plain")


def test_a_challenge_can_be_answered_in_another_way():
    request = RequestFactory().get("/?c=abc1")
    provider = SigningProvider("asked", CHALLENGE="query:c ~ ^([a-f0-9]{4})$")
    assert provider.ping(request).content == b"1cba"


def test_without_a_challenge_a_get_is_no_webhook():
    assert Provider("silent").ping(RequestFactory().get("/?c=abc1")) is None
