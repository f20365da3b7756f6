"""What the options of a provider mean, and what a class of its own can override."""

import datetime
import hmac
import json
from decimal import Decimal

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone
from django_payment_webhooks.interfaces import ParsedEvent, Received

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.exceptions import ParseError, WebhookRefused
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.providers import Provider, declarative
from django_payment_webhooks.receiving import receive_events

from ..factories import SECRET, PayloadFactory, sign

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
    """Return the only event that is found in a payload."""
    (event,) = (provider or make()).parse(dict(meta), json.dumps(payload).encode())
    return event


def test_the_default_partner_has_its_fields_where_the_documentation_says():
    event = parse(PayloadFactory(event_id="evt_7", data__order_id="A7"))
    assert event == ParsedEvent(
        provider_event_id="evt_7",
        type="charge.succeeded",
        order_id="A7",
        occurred_at=MOMENT,
        payload_path="",
    )


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


def test_an_event_without_a_readable_time_happened_now():
    before = timezone.now()
    assert before <= parse(PayloadFactory(created_at="soon")).occurred_at <= timezone.now()


@pytest.mark.parametrize(
    ("field", "path"),
    [("event_id", "event_id"), ("type", "type"), ("data__order_id", "data.order_id")],
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


def test_every_event_of_a_webhook_is_found_with_its_path():
    provider = make(EVENTS_PATH="list.*")
    body = json.dumps(
        {"list": [PayloadFactory(event_id="e1"), PayloadFactory(event_id="e2")]}
    ).encode()
    events = provider.parse({}, body)
    assert [(event.provider_event_id, event.payload_path) for event in events] == [
        ("e1", "list.0"),
        ("e2", "list.1"),
    ]
    document = provider.load(body)
    payloads = [provider.payload(document, event.payload_path) for event in events]
    assert [payload["event_id"] for payload in payloads] == ["e1", "e2"]


@pytest.mark.parametrize(
    "document", [{}, {"list": None}, {"list": {}}, {"list": "ab"}, {"list": 3}, {"list": []}]
)
def test_a_webhook_without_its_list_of_events_can_not_be_parsed(document):
    with pytest.raises(ParseError, match=r"no list of events at list\.\*"):
        make(EVENTS_PATH="list.*").parse({}, json.dumps(document).encode())


@pytest.mark.parametrize("item", [None, 1, "text", []])
def test_one_event_that_is_no_object_spoils_the_webhook(item):
    body = json.dumps({"list": [PayloadFactory(), item]}).encode()
    with pytest.raises(ParseError, match="The event is not a JSON object"):
        make(EVENTS_PATH="list.*").parse({}, body)


def test_the_only_event_can_be_deep_in_the_body():
    event = parse(
        {"wrapped": {"event": PayloadFactory(event_id="e9")}}, make(EVENTS_PATH="wrapped.event")
    )
    assert (event.provider_event_id, event.payload_path) == ("e9", "wrapped.event")


def test_read_gives_the_fields_that_have_no_column():
    payload = PayloadFactory(data__refund_id="re_1", data__amount=5)
    data = make().read(payload)
    assert sorted(data) == ["amount", "charge_id", "currency", "dispute_id", "refund_id"]
    assert (data["refund_id"], data["amount"], data["dispute_id"]) == ("re_1", 5, None)


def test_amounts_that_are_numbers_are_exact():
    body = b'{"event_id": "e", "type": "t", "data": {"amount": 10.10}}'
    provider = make()
    assert provider.read(provider.payload(provider.load(body), ""))["amount"] == Decimal("10.10")


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


# ---- webhooks of many events


def batch(count):
    """Return the body of a webhook of this many events, each of about 930 bytes."""
    events = [PayloadFactory(event_id="e%d" % number, note="x" * 750) for number in range(count)]
    return json.dumps({"list": events}).encode()


@pytest.fixture
def decoded(monkeypatch):
    """Count how often a body is decoded."""
    bodies = []
    load_json = declarative.load_json
    monkeypatch.setattr(
        declarative, "load_json", lambda body: bodies.append(body) or load_json(body)
    )
    return bodies


@pytest.fixture
def found(monkeypatch):
    """Record what is looked for in a document: the path, and where the search begins."""
    searches = []
    find = declarative.find
    monkeypatch.setattr(declarative, "find", lambda *args: searches.append(args) or find(*args))
    return searches


def test_a_webhook_of_a_thousand_events_is_decoded_once(decoded, found):
    provider = make(EVENTS_PATH="list.*")
    body = batch(1000)
    events = provider.parse({}, body)
    assert len(events) == len({event.provider_event_id for event in events}) == 1000
    assert decoded == [body]
    # The list, and of each event itself and its four fields, one of which is read twice.
    assert len(found) == 1 + 1000 * (1 + 4 + 1)


def test_the_events_of_a_stored_webhook_share_its_document(decoded):
    provider = make(EVENTS_PATH="list.*")
    document = provider.load(batch(1000))
    payloads = [provider.payload(document, "list.%d" % number) for number in range(1000)]
    assert [payload["event_id"] for payload in payloads[:2]] == ["e0", "e1"]
    assert payloads[7] is document["list"][7]
    assert len(decoded) == 1


@pytest.mark.parametrize(("count", "limit"), [(3, 3), (1000, 1000)])
def test_as_many_events_as_the_settings_allow_are_parsed(settings, count, limit):
    settings.PAYMENT_WEBHOOKS_MAX_EVENTS = limit
    assert len(make(EVENTS_PATH="list.*").parse({}, batch(count))) == count


def test_more_events_than_the_settings_allow_can_not_be_parsed():
    with pytest.raises(ParseError) as raised:
        make(EVENTS_PATH="list.*").parse({}, batch(1001))
    text = "The body has 1001 events, more than 1000 (PAYMENT_WEBHOOKS_MAX_EVENTS)."
    assert str(raised.value) == text
    assert (raised.value.status, raised.value.reason) == (400, "unparsed")


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


def test_an_invoice_of_a_thousand_lines_is_accepted_once_so_many_values_are_allowed(
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
    events = [Event(provider_event_id="evt_1"), Event(provider_event_id="evt_2")]
    received = [Received(events[0], True), Received(events[1], False)]
    assert json.loads(make().answer(received).content.decode()) == {
        "events": [
            {"status": "accepted", "event_id": "evt_1"},
            {"status": "duplicate", "event_id": "evt_2"},
        ]
    }
    assert json.loads(make().answer(received[:1]).content.decode()) == {
        "status": "accepted",
        "event_id": "evt_1",
    }


# ---- other roads


def test_what_was_learned_on_another_road_is_stored_once(
    order, webhook, published, run_due, shop_state
):
    payload = PayloadFactory(event_id="evt_1", data__order_id="A1")
    body = json.dumps(payload).encode()
    ((event, created),) = receive_events(get_provider("default"), {}, body)
    assert (created, event.verified_by, published()) == (True, "", [event.pk])
    run_due()
    assert webhook(body=body).json() == {"status": "duplicate", "event_id": "evt_1"}
    assert (run_due(), published(), Event.objects.count()) == ([], [], 1)
    assert shop_state()["ledger"] == [("payment", "A1")]
