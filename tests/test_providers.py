"""Every provider keeps the same contract, however it signs and wherever it puts what.

A new provider is one more :class:`Sample` in ``SAMPLES``.
"""

import base64
import datetime
import hashlib
import hmac
import json
import time
from decimal import Decimal

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.exceptions import ParseError, WebhookRefused
from django_payment_webhooks.models import Event
from django_payment_webhooks.processing import receive_events
from django_payment_webhooks.providers import Provider

from .factories import PayloadFactory, sign

MOMENT = datetime.datetime(2026, 11, 23, 10, 0, 0, tzinfo=datetime.timezone.utc)


class BatchProvider(Provider):
    """An invented provider who sends several events at once, and wants to read ``[accepted]``."""

    signature_header = "X-Batch-Signature"
    signature_encoding = "base64"
    signature_pattern = r"\A([\w+/]{43}=)\Z"
    events_path = "items.*.event"
    fields = {
        "provider_event_id": "reference",
        "type": "code",
        "occurred_at": "at",
        "order_id": "merchantReference",
        "charge_id": "payment",
        "amount": "amount.value",
        "currency": "amount.currency",
    }
    types = {"AUTHORISATION": "charge.succeeded", "REFUND": "refund.created"}
    answer_body = "[accepted]"
    parse_error_status = 200


class Sample:
    """How a provider sends an event, written without the code that is tested."""

    has_time = False
    is_json_answer = True

    def __init__(self, provider, **options):
        self.name, self.options = provider, options

    def body(self, event_id, charge_id="ch_1"):
        """Return the body with one event: 10.00 EUR were paid for the order A1."""
        fields = {"order_id": "A1", "charge_id": charge_id, "amount": "10.00", "currency": "EUR"}
        payload = PayloadFactory(
            event_id=event_id, created_at="2026-11-23T12:00:00+02:00", data=fields
        )
        return json.dumps(payload).encode()

    def headers(self, event_id, body, now):
        """Return the headers that make it genuine."""
        return {"HTTP_X_SIGNATURE": sign(body)}


class TimedSample(Sample):
    """Signs ``timestamp.body``."""

    has_time = True

    def headers(self, event_id, body, now):
        """Return time and signature in one header."""
        mac = sign(b"%d.%s" % (now, body), "a-secret-of-the-timed-partner!!!")
        return {"HTTP_X_SIGNATURE": "t=%d,v1=%s" % (now, mac)}


class BatchSample(Sample):
    """Signs the body in base64; it is a list of events."""

    is_json_answer = False

    def item(self, event_id, charge_id="ch_1", code="AUTHORISATION"):
        """Return one item of the list."""
        event = {"reference": event_id, "code": code, "at": 1795428000, "merchantReference": "A1"}
        return {
            "event": dict(event, payment=charge_id, amount={"value": "10.00", "currency": "EUR"})
        }

    def body(self, event_id, charge_id="ch_1"):
        """Return a list of one event."""
        return json.dumps({"items": [self.item(event_id, charge_id)]}).encode()

    def headers(self, event_id, body, now):
        """Return the signature."""
        mac = hmac.new(b"batch-secret-of-24-bytes", body, hashlib.sha256)
        return {"HTTP_X_BATCH_SIGNATURE": base64.b64encode(mac.digest()).decode()}


class StandardSample(Sample):
    """Signs ``id.timestamp.body`` in base64 with a base64 key, the id being a header: as Standard
    Webhooks says.
    """

    has_time = True

    def body(self, event_id, charge_id="ch_1"):
        """Return the body, which has no id."""
        data = {"order_id": "A1", "charge_id": charge_id, "amount": "10.00", "currency": "EUR"}
        return json.dumps(
            {"type": "charge.succeeded", "timestamp": "2026-11-23T10:00:00Z", "data": data}
        ).encode()

    def headers(self, event_id, body, now):
        """Return id, time and two signatures, the second with the key."""
        mac = hmac.new(
            bytes(range(24)), b"%s.%d.%s" % (event_id.encode(), now, body), hashlib.sha256
        ).digest()
        signatures = "v1,%s v1,%s" % (
            base64.b64encode(b"0" * 32).decode(),
            base64.b64encode(mac).decode(),
        )
        return {
            "HTTP_WEBHOOK_ID": event_id,
            "HTTP_WEBHOOK_TIMESTAMP": str(now),
            "HTTP_WEBHOOK_SIGNATURE": signatures,
        }


SAMPLES = [
    Sample("default"),
    TimedSample("timed"),
    BatchSample("batch", BACKEND=__name__ + ".BatchProvider", SECRETS=["batch-secret-of-24-bytes"]),
    StandardSample(
        "standard",
        SECRETS=["whsec_" + base64.b64encode(bytes(range(24))).decode()],
        KEY_ENCODING="base64",
        KEY_PREFIX="whsec_",
        SIGNATURE_HEADER="webhook-signature",
        SIGNATURE_PATTERN=r"(?:\A| )v1,([\w+/]{43}=)(?= |\Z)",
        SIGNATURE_ENCODING="base64",
        CONTENT="{webhook-id}.{timestamp}.{body}",
        TIMESTAMP_HEADER="webhook-timestamp",
        TIMESTAMP_PATTERN=r"\A([0-9]+)\Z",
        FIELDS={"provider_event_id": "header:webhook-id", "occurred_at": "timestamp"},
    ),
]


@pytest.fixture(params=SAMPLES, ids=[sample.name for sample in SAMPLES])
def sample(request, settings):
    """Each provider's sample, the provider being set up."""
    if request.param.options:
        settings.PAYMENT_WEBHOOKS_PROVIDERS = dict(
            settings.PAYMENT_WEBHOOKS_PROVIDERS, **{request.param.name: request.param.options}
        )
    return request.param


@pytest.fixture
def send(sample, post):
    """Send an event as the provider does."""

    def send(event_id="evt_1", body=None, seconds=0, **changed):
        body = body or sample.body(event_id)
        headers = dict(sample.headers(event_id, body, int(time.time()) + seconds), **changed)
        return post(body, sample.name, **headers)

    return send


# ---- the contract


def test_a_genuine_event_is_stored_and_enqueued(order, sample, send, published):
    answer = send()
    event = Event.objects.get()
    assert answer.status_code == 200
    assert (event.provider, event.provider_event_id, event.type) == (
        sample.name,
        "evt_1",
        "charge.succeeded",
    )
    assert (event.order_id, event.occurred_at) == ("A1", MOMENT)
    assert (event.data["charge_id"], event.data["amount"], event.data["currency"]) == (
        "ch_1",
        "10.00",
        "EUR",
    )
    assert len(event.verified_by) == 12
    assert published() == [event.pk]


def test_it_pays_the_order(order, send, run_due, shop_state):
    send()
    run_due()
    assert shop_state()["orders"] == {"A1": "paid"}
    assert shop_state()["ledger"] == [("payment", "A1")]


def test_the_answer_is_what_the_provider_reads(transactional_db, sample, send):
    first, second = send(), send()
    assert (first.status_code, second.status_code) == (200, 200)
    if sample.is_json_answer:
        assert first.json() == {"status": "accepted", "event_id": "evt_1"}
        assert second.json() == {"status": "duplicate", "event_id": "evt_1"}
    else:
        assert first.content == second.content == b"[accepted]"
        assert first["Content-Type"].startswith("text/plain")
    assert Event.objects.count() == 1


def test_a_body_that_was_tampered_with_is_refused_and_leaves_no_trace(db, sample, send, published):
    for tampered in (sample.body("evt_2", "ch_2") + b" ", sample.body("evt_1", "ch_2"), b"{}"):
        headers = sample.headers("evt_1", sample.body("evt_1"), int(time.time()))
        assert send(body=tampered, **headers).status_code == 401
    assert not Event.objects.exists()
    assert published() == []


def test_a_signature_that_was_tampered_with_is_refused(db, sample, send, published):
    headers = sample.headers("evt_1", sample.body("evt_1"), int(time.time()))
    for name, value in headers.items():
        for tampered in ("", value[:-1], value[::-1], value.swapcase() + "x", value + "1"):
            assert send(**{name: tampered}).status_code == 401
    assert not Event.objects.exists()
    assert published() == []


def test_the_signature_of_another_provider_is_refused(db, sample, send, published):
    for other in SAMPLES:
        if other.name != sample.name:
            headers = other.headers("evt_1", sample.body("evt_1"), int(time.time()))
            own = dict.fromkeys(sample.headers("evt_1", b"", 0), "")
            assert send(**dict(own, **headers)).status_code == 401
    assert not Event.objects.exists()
    assert published() == []


@pytest.mark.parametrize("seconds", [-86400, 86400])
def test_a_webhook_that_is_repeated_much_later_is_refused_if_its_time_is_signed(
    transactional_db, sample, send, seconds
):
    assert send(seconds=seconds).status_code == (401 if sample.has_time else 200)
    assert Event.objects.count() == (0 if sample.has_time else 1)


def test_two_events_are_two_events_and_the_first_again_is_a_duplicate(transactional_db, send):
    for event_id in ("evt_1", "evt_2", "evt_1"):
        assert send(event_id).status_code == 200
    assert sorted(Event.objects.values_list("provider_event_id", flat=True)) == ["evt_1", "evt_2"]


@pytest.mark.parametrize(
    "body", [b"[]", b"not json", b"\xff", b'{"items": {}}', b'{"items": [{"event": 1}]}']
)
def test_a_genuine_body_that_can_not_be_parsed_is_kept_as_failed(
    transactional_db, sample, send, published, body
):
    answer = send(body=body)
    event = Event.objects.get()
    assert answer.status_code == get_provider(sample.name).parse_error_status
    assert (event.status, event.type, bytes(event.body)) == (Event.FAILED, "", body)
    assert event.provider_event_id.startswith("unparsed:")
    assert event.error
    assert published() == []


def test_without_a_secret_nothing_is_accepted(db, sample, send, settings, published):
    providers = settings.PAYMENT_WEBHOOKS_PROVIDERS
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {sample.name: dict(providers[sample.name], SECRETS=[""])}
    assert send().status_code == 503
    assert not Event.objects.exists()
    assert published() == []


def test_no_secret_is_shown_by_the_provider_or_its_answers(transactional_db, sample, send):
    provider = get_provider(sample.name)
    shown = (
        repr(provider) + str(provider) + send().content.decode() + send(body=b"{}").content.decode()
    )
    for secret in provider.secrets:
        assert secret not in shown


# ---- options


def make(**options):
    """Return a provider with these options."""
    return Provider("made", **options)


def test_an_option_sets_the_attribute_of_its_name():
    provider = make(SECRETS=["s"], TOLERANCE=5, TYPES={"paid": "charge.succeeded"})
    assert (provider.name, provider.secrets, provider.tolerance) == ("made", ["s"], 5)
    assert provider.types == {"paid": "charge.succeeded"}
    assert (Provider.secrets, Provider.tolerance, Provider.types) == ((), 300, {})


@pytest.mark.parametrize("option", ["SECRET", "NAME", "SIGNATURE", "TIMESTAMP_TOLERANCE"])
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
    assert (event["provider_event_id"], event["type"], event["order_id"]) == ("e1", "paid", "")
    assert before <= event["occurred_at"] <= timezone.now()
    assert not any(TersePartner("terse").read({"id": "e1", "kind": "paid"}).values())


def parse(payload, provider=None, meta=()):
    """Return the only event that is found in a payload."""
    (event,) = (provider or make()).parse(dict(meta), json.dumps(payload).encode())
    return event


def test_the_default_partner_has_its_fields_where_the_brief_says():
    event = parse(PayloadFactory(event_id="evt_7", data__order_id="A7"))
    assert event == {
        "provider_event_id": "evt_7",
        "type": "charge.succeeded",
        "order_id": "A7",
        "occurred_at": MOMENT,
        "payload_path": "",
    }


def test_unknown_fields_are_ignored():
    assert (
        parse(PayloadFactory(event_id="e", data__order_id="A", extra={"deep": [1]}))["order_id"]
        == "A"
    )


def test_types_get_the_names_of_the_handlers_and_others_keep_theirs():
    provider = make(TYPES={"paid": "charge.succeeded"})
    assert parse(PayloadFactory(type="paid"), provider)["type"] == "charge.succeeded"
    assert parse(PayloadFactory(type="void"), provider)["type"] == "void"


def test_numbers_are_accepted_as_identifiers():
    event = parse(PayloadFactory(event_id=17, type=3, data__order_id=0))
    assert (event["provider_event_id"], event["type"], event["order_id"]) == ("17", "3", "0")


@pytest.mark.parametrize("order_id", [None, ""])
def test_an_event_needs_no_order(order_id):
    assert parse(PayloadFactory(data__order_id=order_id))["order_id"] == ""
    assert parse({"event_id": "e", "type": "t"})["order_id"] == ""


def test_an_event_without_a_readable_time_happened_now():
    before = timezone.now()
    assert before <= parse(PayloadFactory(created_at="soon"))["occurred_at"] <= timezone.now()


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
        ("a\0", "contains a NUL or a lone surrogate"),
        ("\ud800", "contains a NUL or a lone surrogate"),
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
    assert parse(PayloadFactory(), provider, {"HTTP_X_TYPE": "shipped"})["type"] == "shipped"
    for meta in ({}, {"HTTP_X_TYPE": ""}, {"HTTP_X_TYPE": " "}):
        with pytest.raises(ParseError, match="^header:X-Type is "):
            parse(PayloadFactory(), provider, meta)


def test_every_event_of_a_webhook_is_found_with_its_path():
    provider = make(EVENTS_PATH="list.*")
    body = json.dumps(
        {"list": [PayloadFactory(event_id="e1"), PayloadFactory(event_id="e2")]}
    ).encode()
    events = provider.parse({}, body)
    assert [(event["provider_event_id"], event["payload_path"]) for event in events] == [
        ("e1", "list.0"),
        ("e2", "list.1"),
    ]
    assert [provider.payload(body, event["payload_path"])["event_id"] for event in events] == [
        "e1",
        "e2",
    ]


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
    assert (event["provider_event_id"], event["payload_path"]) == ("e9", "wrapped.event")


def test_read_gives_the_fields_that_have_no_column():
    payload = PayloadFactory(data__refund_id="re_1", data__amount=5)
    data = make().read(payload)
    assert sorted(data) == ["amount", "charge_id", "currency", "dispute_id", "refund_id"]
    assert (data["refund_id"], data["amount"], data["dispute_id"]) == ("re_1", 5, None)


def test_amounts_that_are_numbers_are_exact():
    body = b'{"event_id": "e", "type": "t", "data": {"amount": 10.10}}'
    provider = make()
    assert provider.read(provider.payload(body, ""))["amount"] == Decimal("10.10")


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

    def parse(self, meta, body):
        """Read a form."""
        return [dict(self.parse_event(meta, self.payload(body, "")), payload_path="")]

    def payload(self, body, path):
        """Read a form."""
        return dict(pair.split("=") for pair in body.decode().split("&"))

    fields = {"provider_event_id": "id", "type": "type", "order_id": "order", "occurred_at": "at"}


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
