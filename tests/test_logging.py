"""The log: one line for each verb, which says enough to find an event, and nothing that must stay
secret.
"""

import json
import logging

import pytest
import structlog
from django.db import DatabaseError, DataError, IntegrityError, OperationalError
from django.db.models import F
from pythonjsonlogger import jsonlogger
from shop.handlers import MarkOrderPaid

from django_payment_webhooks import receiving, signals
from django_payment_webhooks.exceptions import PermanentFailure
from django_payment_webhooks.logging import LEVELS, MAX_LENGTH, safe
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.publisher import process
from django_payment_webhooks.sweeper import sweep

from .doubles import DownstreamError, handle
from .factories import SECRET, EventFactory, PayloadFactory, sign

pytestmark = pytest.mark.django_db
# For what is sent on commit.
commits = pytest.mark.django_db(transaction=True)

LOGGER = "django_payment_webhooks"
FACTS = {
    "provider",
    "event_id",
    "event_type",
    "order_id",
    "attempts",
    "error",
    "other",
    "differs",
    "released_by",
    "replayed_by",
}
CARD, HOLDER = "4242424242424242", "Erika Mustermann"
# What ends a line or moves the cursor somewhere, what turns the text around, and what is not seen.
FORGERY = "x\r\nINFO forged\x1b[2J\x9b1m\x85y\u2028z\u2029\u202e\u200b\x0b\x0c\x1c\t\x7f"


@pytest.fixture
def lines(caplog):
    """Return the app's records since the last call."""
    caplog.set_level(logging.DEBUG, LOGGER)

    def lines():
        records = [record for record in caplog.records if record.name == LOGGER]
        caplog.clear()
        return records

    return lines


def messages(records):
    return [record.getMessage() for record in records]


def words(records):
    """Return of each record about an event: its level, its verb and the event's id."""
    return [
        (record.levelname, record.verb, record.event_id)
        for record in records
        if hasattr(record, "event_id")
    ]


# ---- one line for each verb


def test_every_signal_about_an_event_has_a_level():
    assert {"event_" + verb for verb in LEVELS} == {
        name for name in vars(signals) if name.startswith("event_")
    }
    assert set(LEVELS.values()) <= {logging.INFO, logging.WARNING, logging.ERROR}


@pytest.mark.parametrize("verb", sorted(LEVELS))
def test_one_line_is_written_for_each_verb_with_its_facts(lines, verb):
    event = EventFactory(
        provider_event_id="evt_1", order_id="A7", type="a.type", provider="timed", attempts=3
    )
    getattr(signals, "event_" + verb).send(Event, event=event)
    (record,) = lines()
    text = "event %s attempts=3 event_id=evt_1 event_type=a.type order_id=A7 provider=timed"
    assert record.getMessage() == text % verb
    assert record.levelno == LEVELS[verb]
    assert {name: getattr(record, name) for name in FACTS | {"verb"}} == {
        "verb": verb,
        "provider": "timed",
        "event_id": "evt_1",
        "event_type": "a.type",
        "order_id": "A7",
        "attempts": 3,
        "error": "",
        "other": "",
        "differs": "",
        "released_by": "",
        "replayed_by": "",
    }


@commits
def test_who_replays_an_event_is_logged_and_the_reason_is_not(lines):
    event = EventFactory(status=Event.FAILED, due_at=None)
    assert replay(event, by="alice\n", reason=HOLDER)
    record, _ = lines()
    assert (record.verb, record.replayed_by, record.released_by) == ("replayed", "alice\\n", "")
    assert record.getMessage().endswith("provider=default replayed_by=alice\\n")
    assert HOLDER not in str(vars(record))


@pytest.mark.parametrize(
    ("level", "verbs"),
    [
        ("INFO", "received waiting applied processed duplicate released replayed"),
        ("WARNING", "ignored retried overtaken"),
        ("ERROR", "failed conflicted"),
    ],
)
def test_what_needs_a_look_has_a_higher_level(level, verbs):
    assert {verb for verb in LEVELS if logging.getLevelName(LEVELS[verb]) == level} == set(
        verbs.split()
    )


@commits
def test_the_journey_of_a_payment_and_its_refund_can_be_read_from_the_log(
    order, webhook, run_due, lines
):
    refund = {
        "event_id": "evt_refund",
        "type": "refund.created",
        "refund_id": "re_1",
        "amount": "2.50",
    }
    webhook(order_id="A1", **refund)
    run_due()
    webhook(event_id="evt_charge", order_id="A1", charge_id="ch_1")
    webhook(event_id="evt_charge", order_id="A1", charge_id="ch_2", amount="99.00")
    run_due()
    about_refund = "event_id=evt_refund event_type=refund.created order_id=A1 provider=default"
    about_charge = "event_id=evt_charge event_type=charge.succeeded order_id=A1 provider=default"
    assert messages(lines()) == [
        "event received attempts=0 " + about_refund,
        "webhook received provider=default events=1 new=1 event_ids=evt_refund order_ids=A1",
        "event waiting attempts=0 error=It waits for charge.succeeded. " + about_refund,
        "event received attempts=0 " + about_charge,
        "webhook received provider=default events=1 new=1 event_ids=evt_charge order_ids=A1",
        "event conflicted attempts=0 differs=data.charge_id,data.amount "
        + about_charge.replace("provider", "other=charge.succeeded evt_charge provider"),
        "webhook received provider=default events=1 new=0 event_ids=evt_charge order_ids=A1",
        "event applied attempts=1 " + about_charge,
        "event released attempts=0 error=It waits for charge.succeeded. "
        + f"{about_refund} released_by=charge.succeeded evt_charge",
        "event processed attempts=1 " + about_charge,
        "event processed attempts=1 " + about_refund,
    ]


@commits
def test_the_lines_are_those_of_the_signals_no_more_and_no_fewer(
    order, webhook, run_due, lines, received_signals
):
    webhook(event_id="evt_1", order_id="A1")
    webhook(event_id="evt_2", order_id="A1")
    webhook(event_id="evt_3", type="an.unknown.type")
    webhook(signature="forged")
    run_due()
    records = lines()
    assert len(records) == len(received_signals) == 12
    told = [
        (name.partition("_")[2], facts["event"].provider_event_id)
        for name, facts in received_signals
        if name.startswith("event_")
    ]
    assert sorted((verb, event_id) for _, verb, event_id in words(records)) == sorted(told)
    assert ("INFO", "duplicate", "evt_2") in words(records)
    assert ("WARNING", "ignored", "evt_3") in words(records)


@commits
def test_failures_retries_and_replays_are_written_with_their_reason(
    order, settings, webhook, run_due, pass_time, lines
):
    errors = [PermanentFailure("The order is on the Moon."), DownstreamError(503)]

    def apply(self, event):
        if errors:
            raise errors.pop()

    handle(settings, apply=apply)
    webhook(event_id="evt_1", order_id="A1")
    run_due()
    pass_time(60)
    run_due()
    replay(Event.objects.get())
    run_due()
    records = [record for record in lines() if hasattr(record, "event_id")]
    assert words(records) == [
        ("INFO", "received", "evt_1"),
        ("WARNING", "retried", "evt_1"),
        ("ERROR", "failed", "evt_1"),
        ("INFO", "replayed", "evt_1"),
        ("INFO", "received", "evt_1"),
        ("INFO", "processed", "evt_1"),
    ]
    assert "503 from downstream" in records[1].getMessage()
    assert "The order is on the Moon." in records[2].getMessage()
    assert [record.attempts for record in records] == [0, 1, 2, 0, 0, 1]
    # What was fixed is not reported again.
    assert not any("Moon" in message for message in messages(records[3:]))


@commits
@pytest.mark.parametrize(
    ("error", "level"), [(KeyError("warehouse_id"), "ERROR"), (TimeoutError(), "WARNING")]
)
def test_a_failed_attempt_is_logged_with_its_traceback_and_a_bug_is_an_error(
    error, level, order, settings, webhook, run_due, lines
):
    def apply(self, event):
        raise error

    handle(settings, apply=apply)
    webhook(event_id="evt_1", order_id="A1")
    run_due()
    (record,) = [record for record in lines() if record.verb == "retried"]
    assert (record.levelname, record.error) == (level, repr(error))
    assert record.exc_info[1] is error
    assert "in apply" in logging.Formatter().format(record)


@commits
def test_a_conflict_names_the_fields_that_differ_and_not_their_values(lines):
    earlier = EventFactory(data={"amount": "10.00", "holder": HOLDER, "same": CARD})
    later = EventFactory.build(data={"amount": "99.00", "card": {"number": CARD}, "same": CARD})
    signals.event_conflicted.send(Event, event=earlier, other=later)
    (record,) = lines()
    names = "data.charge_id,data.amount,data.holder,data.card.number"
    assert set(record.differs.split(",")) == {"event_id", *names.split(",")}
    assert f" differs={record.differs} " in record.getMessage()
    for value in (HOLDER, CARD, "10.00", "99.00"):
        assert value not in str(vars(record))


def test_a_conflict_that_can_not_be_compared_is_logged_without_the_fields(lines):
    earlier = EventFactory(body=b"not JSON")
    signals.event_conflicted.send(Event, event=earlier, other=EventFactory.build())
    (record,) = lines()
    assert (record.levelname, record.verb, record.differs) == ("ERROR", "conflicted", "")


def test_an_attempt_that_was_overtaken_is_logged_with_its_error(lines):
    event = EventFactory(provider_event_id="evt_1", attempts=1)
    signals.event_overtaken.send(Event, event=event, error=DownstreamError(503))
    (record,) = lines()
    assert (record.levelname, record.verb) == ("WARNING", "overtaken")
    assert record.error == "DownstreamError('503 from downstream')"


class Nameless(Exception):
    """An error that can't be shown."""

    def __repr__(self):
        raise RuntimeError("It has no name.")

    __str__ = __repr__


def test_an_error_that_can_not_be_shown_is_logged_by_its_class(lines):
    signals.event_retried.send(Event, event=EventFactory(), error=Nameless())
    (record,) = lines()
    assert record.error == "Nameless, which can't be described"


# ---- the other lines


@pytest.mark.parametrize(
    ("request_of", "provider", "status", "reason"),
    [
        ({"signature": None}, None, 401, "no_signature"),
        ({"signature": "0" * 64}, None, 401, "mismatch"),
        ({"provider": "nobody"}, "nobody", 404, "unknown_provider"),
        (
            {"provider": "n\u00f6\u03b4\u0431\u05d0"},
            "n\u00f6\u03b4\u0431\u05d0",
            404,
            "unknown_provider",
        ),
        ({"body": b"not JSON"}, None, 400, "unparsed"),
    ],
    ids=str,
)
def test_a_rejected_webhook_is_one_line_with_the_reason(
    webhook, lines, request_of, provider, status, reason
):
    assert webhook(**request_of).status_code == status
    (record,) = [record for record in lines() if record.verb == "rejected"]
    provider = provider or "default"
    assert record.getMessage() == "webhook rejected provider=%s status=%d reason=%s" % (
        provider,
        status,
        reason,
    )
    assert record.levelname == "WARNING"
    assert (record.provider, record.status, record.reason) == (provider, status, reason)
    assert record.seconds >= 0


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OperationalError("no such table: x"), "OperationalError: no such table: x"),
        (OperationalError(1146, "Table x"), "OperationalError: (1146, 'Table x')"),
        (OperationalError("\n lost\nconnection"), "OperationalError: lost"),
        (OperationalError(), "OperationalError: "),
        (DataError("a\x1b[2Jb\u2028c"), "DataError: a\\x1b[2Jb\\u2028c"),
        (IntegrityError(f"null value\nDETAIL:  Failing row: {CARD}"), "IntegrityError: null value"),
        (DatabaseError("x" * 1000), f"DatabaseError: {'x' * 185}"),
    ],
    ids=repr,
)
def test_a_webhook_that_the_database_did_not_take_is_one_line_with_its_error(
    webhook, lines, monkeypatch, error, text
):
    def fail(*args):
        raise error

    monkeypatch.setattr(receiving, "store", fail)
    assert webhook().status_code == 503
    (record,) = lines()
    expected = f"webhook rejected provider=default status=503 reason=database error={text}"
    assert record.getMessage() == expected
    assert (record.levelname, record.verb, record.error) == ("WARNING", "rejected", text)
    check_one_printable_line(record)


@commits
def test_a_missing_table_is_named_in_the_log(webhook, lines, monkeypatch):
    monkeypatch.setattr(Event._meta, "db_table", "no_such_table")
    assert webhook().status_code == 503
    (record,) = lines()
    assert record.reason == "database"
    assert "no_such_table" in record.error


def test_a_webhook_with_several_events_is_one_line_that_counts_them(lines):
    events = [
        EventFactory(provider_event_id="evt_%d" % number, order_id=order)
        for number, order in enumerate(["B", "A", "A"])
    ]
    for event, is_new in zip(events, [True, False, True]):
        event.is_new = is_new
    signals.webhook_received.send(None, provider="default", events=events, seconds=0.0125)
    (record,) = lines()
    ids = "event_ids=evt_0,evt_1,evt_2 order_ids=A,B"
    assert record.getMessage() == "webhook received provider=default events=3 new=2 " + ids
    facts = (
        record.levelname,
        record.verb,
        record.provider,
        record.events,
        record.new,
        record.seconds,
    )
    assert facts == ("INFO", "received", "default", 3, 2, 0.0125)


@commits
def test_a_broker_that_takes_no_message_is_one_line(webhook, lines, monkeypatch, published):
    def refuse(*args, **options):
        raise ConnectionRefusedError(111, "Connection\nrefused")

    monkeypatch.setattr(process, "apply_async", refuse)
    assert webhook().status_code == 200
    published()
    (record,) = [record for record in lines() if record.verb == "enqueue_failed"]
    assert record.getMessage() == (
        "enqueue failed error=ConnectionRefusedError(111, 'Connection\\\\nrefused')"
    )
    assert record.levelname == "ERROR"


def test_a_sweep_is_one_line_which_matters_if_it_found_something(lines, pass_time):
    EventFactory.create_batch(2)
    pass_time(40)
    for level, enqueued in [("INFO", 2), ("DEBUG", 0)]:
        assert sweep(lambda keys: None) == enqueued
        (record,) = lines()
        assert record.getMessage() == "sweep finished enqueued=%d" % enqueued
        assert (record.levelname, record.verb, record.enqueued) == (level, "swept", enqueued)


# ---- what must not be in it


@commits
def test_no_record_has_a_secret_a_signature_or_a_payload_on_the_whole_journey(
    order, webhook, run_due, pass_time, caplog, published, settings, monkeypatch
):
    caplog.set_level(logging.DEBUG)
    private = {"card": CARD, "holder": HOLDER}
    signatures = []

    def send(body=None, signature=None, **fields):
        payload = PayloadFactory(data__order_id="A1", data__private=private, **fields)
        body = json.dumps(payload).encode() if body is None else body
        signatures.append(signature or sign(body))
        return webhook(body=body, signature=signatures[-1])

    refund = {"type": "refund.created", "data__refund_id": "re_1", "data__amount": "2.50"}
    send(event_id="evt_refund", **refund)
    run_due()
    settings.DOWNSTREAM_URL = "http://127.0.0.1:1/"  # nobody is there
    send(event_id="evt_charge")
    run_due()
    settings.DOWNSTREAM_URL = ""
    pass_time(60)
    run_due()
    send(event_id="evt_charge", data__charge_id="ch_2")
    send(event_id="evt_charge_again", data__charge_id="ch_3")
    send(event_id="evt_unknown", type="an.unknown.type")
    send(event_id="evt_too_much", **dict(refund, data__refund_id="re_2", data__amount="99.00"))
    run_due()
    send(signature="0123456789abcdef" * 4)
    send(signature="not-even-a-signature")
    send(event_id=None)
    for body in (
        "%s %s" % (CARD, HOLDER),
        '{"private": "%s %s' % (CARD, HOLDER),
        '["%s"]' % CARD,
        CARD,
    ):
        send(body=body.encode())
    send(body=CARD.encode() + b"\xff" + HOLDER.encode())
    published()  # so that the next message is sent by a new thread, which finds the broker broken
    with monkeypatch.context() as broken:
        broken.setattr(process, "apply_async", None)
        send(event_id="evt_unpublished")
        published()
    for event in Event.objects.filter(status=Event.FAILED).exclude(type=""):
        replay(event)
    run_due()

    def lose(self, event):
        Event.objects.filter(pk=event.pk).update(version=F("version") + 1)
        raise DownstreamError(503)

    monkeypatch.setattr(MarkOrderPaid, "prepare", lose)
    send(event_id="evt_overtaken")
    run_due()

    app = [record for record in caplog.records if record.name == LOGGER]
    expected = set(LEVELS) | {"rejected", "enqueue_failed"}
    assert {record.verb for record in app} == expected, "the journey does not come by every verb"
    for record in caplog.records:
        if record.name.startswith("factory"):
            continue  # it makes what the provider sends
        text = logging.Formatter().format(record) + repr(vars(record))
        for private in [SECRET, CARD, HOLDER] + signatures:
            assert private not in text
            assert private.encode().hex() not in text


# ---- lines can't be forged


def check_one_printable_line(record):
    """Check that whatever shows a record shows one line, and only what is printable."""
    text = record.getMessage()
    assert len(text.splitlines()) == 1
    assert text.isprintable()
    for value in vars(record).values():
        if isinstance(value, str) and value in text:
            assert value.isprintable()


@commits
def test_identifiers_can_not_forge_a_line(webhook, run_due, lines, received_signals):
    webhook(event_id="1" + FORGERY, type=FORGERY, order_id=FORGERY)
    webhook(event_id="2" + FORGERY, type="charge.succeeded", order_id=FORGERY)
    webhook(event_id="3" + FORGERY, type="refund.created", order_id=FORGERY, refund_id=FORGERY)
    webhook(event_id="4" + FORGERY, type="refund.created", order_id=FORGERY, refund_id=None)
    run_due()
    webhook(event_id="2" + FORGERY, charge_id="ch_other", order_id=FORGERY)
    records = lines()
    verbs = {record.verb for record in records}
    assert {"received", "ignored", "failed", "waiting", "conflicted"} <= verbs
    for record in records:
        check_one_printable_line(record)
    (ignored,) = [record for record in records if record.verb == "ignored"]
    for name in ("event_id", "event_type", "order_id"):
        escaped = getattr(ignored, name).lstrip("1")
        assert escaped.startswith(
            "x\\r\\nINFO forged\\x1b[2J\\x9b1m\\x85y\\u2028z\\u2029\\u202e\\u200b"
        )
        assert escaped in ignored.getMessage()


@pytest.mark.parametrize("verb", sorted(LEVELS))
def test_neither_can_an_error_another_event_or_a_provider(lines, verb):
    event = EventFactory(provider=FORGERY, error=FORGERY)
    other = EventFactory(provider_event_id=FORGERY)
    send = getattr(signals, "event_" + verb).send
    send(Event, event=event, other=other, by=other)
    send(Event, event=event, error=ValueError(FORGERY))
    for record in lines():
        check_one_printable_line(record)
        assert "error=" in record.getMessage()


def test_a_rejected_webhooks_provider_can_not_forge_a_line(lines):
    signals.webhook_rejected.send(
        None, provider=FORGERY, status=404, reason="unknown_provider", seconds=0.1
    )
    signals.enqueue_failed.send(Event, error=OSError(FORGERY))
    for record in lines():
        check_one_printable_line(record)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("evt_1", "evt_1"),
        ("", ""),
        (42, "42"),
        ("für \U0001f4b6", "für \U0001f4b6"),
        ("a\nb", "a\\nb"),
        ("a\\nb", "a\\\\nb"),
        ("a'b", "a'b"),
        ("%s %(x)s {}", "%s %(x)s {}"),
        (ValueError("a\nb"), "a\\nb"),
        ("x" * 201, "x" * 200),
    ],
)
def test_what_is_not_printable_is_escaped_and_what_is_long_is_cut(value, text):
    assert safe(value) == text


@commits
def test_a_line_has_a_bounded_length(webhook, lines, run_due):
    webhook(event_id="\n" * 255, type="\u2028" * 255, order_id="\x1b" * 255)
    run_due()
    for record in lines():
        assert len(record.getMessage()) < 8 * MAX_LENGTH


def formatters():
    """Return a formatter of plain text, and those of the two libraries that write JSON."""
    extra = structlog.stdlib.ExtraAdder()
    return {
        "plain": logging.Formatter("%(levelname)s %(message)s"),
        "python-json-logger": jsonlogger.JsonFormatter(),
        "structlog": structlog.stdlib.ProcessorFormatter(
            processor=structlog.processors.JSONRenderer(), foreign_pre_chain=[extra]
        ),
    }


@pytest.mark.parametrize("name", ["plain", "python-json-logger", "structlog"])
def test_identifiers_can_not_forge_a_line_of_any_formatter(lines, name):
    signals.event_failed.send(
        Event, event=EventFactory(provider_event_id=FORGERY, order_id=FORGERY, error=FORGERY)
    )
    (record,) = lines()
    text = formatters()[name].format(record)
    assert text.isprintable()
    assert len(text.splitlines()) == 1
    if name != "plain":
        facts = json.loads(text)
        assert (facts["verb"], facts["event_id"], facts["order_id"]) == (
            "failed",
            record.event_id,
            record.order_id,
        )
        assert facts["event_id"].isprintable()
