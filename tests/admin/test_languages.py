"""The admin in the reader's language: nothing on a page is in English but data."""

import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from io import StringIO

import django
import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone, translation
from django.utils.text import capfirst
from django.utils.translation import trans_real

from django_payment_webhooks import history as door
from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.history.models import (
    AuditRecord,
    Cause,
    Conflict,
    Entry,
    Rejection,
)
from django_payment_webhooks.models import Event
from django_payment_webhooks.receiving import receive_events

from ..factories import EventFactory
from .browsing import LIST, page_of, read

pytestmark = pytest.mark.django_db

FINAL = {"due_at": None, "enqueue_at": None}
AUDIT = "/admin/payment_webhooks_history/auditrecord/"
BEGIN, END = "⟦", "⟧"
WORD = re.compile(r"[^\W\d_][\w.-]*\w")
# Django's own admin has this in English.
UNTRANSLATED = 'alt="Search"'


class Reader(HTMLParser):
    """Gathers what a user sees or hears of a page, except for texts that are shown as sent."""

    SHOWN = {"title", "aria-label", "alt", "placeholder"}
    SKIPPED = {"script", "style", "pre"}
    EMPTY = {"br", "hr", "img", "input", "link", "meta", "path", "circle", "line", "rect", "use"}

    def __init__(self):
        super().__init__()
        self.texts = []
        self.skipped = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag in self.SKIPPED:
            self.skipped.append(tag)
        self.texts += [values[name] for name in self.SHOWN & set(values)]
        if tag == "input" and values.get("type") in ("submit", "button"):
            self.texts.append(values.get("value", ""))

    def handle_endtag(self, tag):
        if self.skipped and tag == self.skipped[-1]:
            self.skipped.pop()

    def handle_data(self, data):
        if not self.skipped:
            self.texts.append(data)


def find_words(html):
    """Return the words of a page that are not between brackets."""
    reader = Reader()
    reader.feed(html.replace(UNTRANSLATED, ""))
    text = "\n".join(reader.texts)
    while re.search(f"{BEGIN}[^{BEGIN}{END}]*{END}", text):
        text = re.sub(f"{BEGIN}[^{BEGIN}{END}]*{END}", " ", text)
    return set(WORD.findall(text))


def read_data():
    """Return the words that the database and the settings have as they came."""
    values = [
        *django_settings.PAYMENT_WEBHOOKS_PROVIDERS,
        *django_settings.PAYMENT_WEBHOOKS_HANDLERS,
    ]
    names = ("provider", "provider_event_id", "type", "order_id", "payment_id", "error")
    keys = ("verified_by", "dedup_key", "idempotency_key", "cause_key")
    for row in Event.objects.values_list(*names, *keys):
        values += row
    kept = {Entry: ["text", "by"], Rejection: ["provider", "reason"], AuditRecord: ["subject"]}
    for model, names in kept.items():
        for row in model.objects.values_list(*names):
            values += row
    values += map(str, Cause.objects.all())
    values += Cause.objects.values_list("note", flat=True)
    values += User.objects.values_list("username", flat=True)
    for model in apps.get_models():
        if not model.__module__.startswith("django_payment_webhooks."):
            names = (model._meta.app_config.verbose_name, model._meta.verbose_name_plural)
            values += [*names, *map(capfirst, names)]
    for event in Event.objects.exclude(type=""):
        values += [event.money, *event.data, *event.data.values()]
    return {"UTC", *WORD.findall(" ".join(map(str, filter(None, values))))}


@pytest.fixture
def bracketed(monkeypatch):
    """Have a language in which each text that is translated stands in brackets."""
    with translation.override("de"):
        catalogue = trans_real._active.value
        monkeypatch.setattr(catalogue, "gettext", enclose)
        monkeypatch.setattr(
            catalogue, "ngettext", lambda one, many, number: enclose(one if number == 1 else many)
        )
        yield


def enclose(text):
    """Return a text in brackets, without its context."""
    text = text.rpartition("\x04")[2]
    return f"{BEGIN}{text}{END}" if text.strip() else text


@pytest.fixture
def mixture(monkeypatch):
    """Have events of every kind, with what their pages have to say; return them by a name."""
    monkeypatch.setattr(
        "django_payment_webhooks.monitoring.overview.is_broker_reachable", lambda: False
    )
    now = timezone.now()
    key = "c" * 32
    Cause.objects.create(
        pk=key, exception="KeyError", place="shop.apply", text="sku", first_seen=now, note="Zzz"
    )
    events = {status: EventFactory(status=status, order_id="A1") for status in Event.TRANSITIONS}
    events["retried"] = EventFactory(cause_key=key, error="KeyError('sku')", attempts=3)
    events["failed"].change(cause_key=key, error="KeyError('sku')", **FINAL)
    Event.objects.filter(status=Event.APPLIED).update(idempotency_key="k" * 32)
    Event.objects.filter(status=Event.PROCESSED).update(finished_at=now, **FINAL)
    Event.objects.filter(status=Event.WAITING).update(waiting_since=now.timestamp() - 2 * 86400)
    Event.objects.filter(pk=events["retried"].pk).update(due_at=now.timestamp() - 1000)
    for verb, text in [("retried", "KeyError('sku')"), ("replayed", "Zzz"), ("released", "")]:
        Entry.objects.create(
            event=events["retried"],
            at=now,
            verb=verb,
            text=text,
            attempts=2,
            by="ada" if verb == "replayed" else "",
            other=events["processed"] if verb == "released" else None,
        )
    for other, closed_at in [(events["duplicate"], None), (None, now)]:
        Conflict.objects.create(
            event=events["processed"],
            at=now,
            other=other,
            difference=json.dumps([["amount", "1", "2"]]),
            closed_at=closed_at,
            closed_by="ada",
            note="Zzz",
        )
    hour = now.replace(minute=0, second=0, microsecond=0)
    for provider in ("default", ""):
        Rejection.objects.create(hour=hour, provider=provider, status=401, reason="stale", count=2)
    for verb in ("erased", "pruned", "deleted", "acknowledged"):
        door.write_audit(verb, "order A1", "ada", "Zzz")
    door.write_look(events["failed"], "ada", "Zzz")
    return events


def test_nothing_on_a_page_is_in_english_but_data(operator, mixture, bracketed):
    pages = {
        "list": read(operator, LIST),
        "search": read(operator, LIST, q="A1"),
        "overview": read(operator, LIST, overview=6),
        "week": read(operator, LIST, overview=168),
        "causes": read(operator, LIST, causes=1),
        "index": read(operator, "/admin/"),
        "audit": read(operator, AUDIT),
        "conflicts": read(operator, LIST, conflict="open"),
        "retrying": read(operator, LIST, status__exact="retrying"),
    }
    pages.update((name, read(operator, page_of(event))) for name, event in mixture.items())
    receive_events(get_provider("default"), {}, b"{", "by-test")
    unparsed = Event.objects.get(type="")
    Entry.objects.create(
        event=unparsed, at=timezone.now(), verb="conflicted", attempts=0, other=unparsed
    )
    pages["unparsed"] = read(operator, page_of(unparsed))
    pages["list with unparsed"] = read(operator, LIST, type="")
    pages["payload"] = read(operator, page_of(mixture["failed"]), payload=1)
    check_pages(pages)


def check_pages(pages, data=None):
    """Check that pages have no words but data outside of brackets."""
    data = data or read_data()
    for name, html in pages.items():
        assert (name, find_words(html) - data) == (name, set())


def test_what_was_acknowledged_and_that_nothing_is_wrong_is_not_in_english_either(
    operator, mixture, bracketed
):
    Cause.objects.update(
        acknowledged_at=timezone.now(), acknowledged_id=10**9, acknowledged_by="ada"
    )
    pages = {"causes": read(operator, LIST, causes=1)}
    data = read_data()
    Event.objects.all().delete()
    pages["nothing"] = read(operator, LIST, overview=1)
    pages["no causes"] = read(operator, LIST, causes=1)
    check_pages(pages, data)


def test_each_app_and_model_is_named_in_the_readers_language(bracketed):
    for model in apps.get_models():
        if model.__module__.startswith("django_payment_webhooks."):
            options = model._meta
            names = (options.verbose_name, options.verbose_name_plural)
            for name in (*names, options.app_config.verbose_name):
                assert str(name).startswith(BEGIN), (model, str(name))


class Listener(HTMLParser):
    """Gathers in which language each text of a page is read aloud, but for the tips of drawings:
    those have no parts.
    """

    def __init__(self):
        super().__init__()
        self.opened, self.heard = [("", "")], []

    def handle_starttag(self, tag, attrs):
        if tag not in Reader.EMPTY:
            self.opened.append((tag, dict(attrs).get("lang") or self.opened[-1][1]))

    def handle_endtag(self, tag):
        if tag not in Reader.EMPTY:
            self.opened.pop()

    def handle_data(self, data):
        tag, language = self.opened[-1]
        if tag != "title":
            self.heard.append((data, language))


def find_languages(html, text):
    """Return in which languages a text is read aloud on a page."""
    listener = Listener()
    listener.feed(html)
    return {language for data, language in listener.heard if text in data}


def test_what_is_stored_is_read_aloud_as_english(operator, mixture):
    event = mixture["failed"]
    choice = {"_selected_action": [event.pk], "index": 0}
    with translation.override("de"):
        pages = [
            read(operator, LIST),
            read(operator, page_of(mixture["retried"])),
            operator.post(LIST, dict(choice, action="replay_events")).content.decode(),
        ]
        dry_run = operator.post(LIST, dict(choice, action="dry_run_events")).content.decode()
        audit = read(operator, AUDIT)
        overview = read(operator, LIST, overview=6)
    for html in pages:
        assert find_languages(html, "KeyError(") == {"en"}
    assert find_languages(dry_run, "There is no order") == {"en"}
    assert find_languages(audit, "the payload of") == {"en"}
    assert find_languages(audit, "angesehen") == {"de"}
    assert find_languages(overview, "stale") == {"en"}


def test_a_download_is_the_same_in_any_language(operator):
    event = EventFactory(provider="removed", type="charge.succeeded")
    found = {}
    for language in ("en-us", "de"):
        with translation.override(language):
            found[language] = operator.get(page_of(event), {"json": 1}).json()
    assert "can't be loaded" in found["de"]["error"]
    assert found["de"] == found["en-us"]


ACTIONS = ["replay_events", "resolve_events", "close_conflicts", "dry_run_events"]


@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_of_an_operation_is_in_english_but_data(
    operator, order, mixture, bracketed, monkeypatch, action
):
    monkeypatch.setattr("django_payment_webhooks.admin.actions.BATCH", 3)
    fields = {"action": action, "index": 0}
    fields["_selected_action"] = [event.pk for event in mixture.values()]
    answer = operator.post(LIST, fields)
    pages = [answer.content.decode()]
    if "form" in answer.context:
        fields.update(answer.context["form"].initial, confirmed=1, rate="")
        pages.append(operator.post(LIST, fields).content.decode())  # without a reason
        while answer.status_code == 200:
            answer = operator.post(LIST, dict(fields, reason="Zzz"))
            fields.update(answer.context["form"].data if answer.context else {})
            pages.append(
                read(operator, LIST) if answer.status_code == 302 else answer.content.decode()
            )
    User.objects.create(username="Zzz")
    check_pages(dict(enumerate(pages)))


def test_the_admin_speaks_russian_with_its_plurals(operator):
    EventFactory.create_batch(3, status=Event.FAILED, **FINAL)
    with translation.override("ru"):
        html = read(operator, LIST, overview=24)
        page = read(operator, page_of(Event.objects.first()))
    assert "3 события завершились ошибкой, самое старое получено 0 секунд назад." in html
    assert "Получено за последние 24 часа, по текущему статусу" in html
    assert ">ошибка</span>" in page
    assert "Платёжные вебхуки" in page


def test_the_admin_speaks_german_with_its_cases(operator):
    received = timezone.now() - timedelta(days=3)
    EventFactory(status=Event.FAILED, received_at=received, **FINAL)
    with translation.override("de"):
        html = read(operator, LIST, overview=24)
    assert "1 Ereignis ist fehlgeschlagen, das älteste wurde vor 3 Tagen empfangen." in html


@pytest.mark.parametrize("options", [["--json"], []])
def test_a_command_prints_english_whatever_the_language(settings, options):
    EventFactory(status=Event.FAILED, **FINAL)
    printed = {}
    for language in ("en-us", "ru"):
        out = StringIO()
        with translation.override(language), pytest.raises(SystemExit):
            call_command("payment_webhooks_status", *options, stdout=out)
        printed[language] = out.getvalue()
    assert "1 event has failed, the oldest was received" in printed["ru"]
    ru, en = (re.sub(r"[\d.]+( seconds?)?", "", printed[name]) for name in ("ru", "en-us"))
    assert ru == en


def test_what_is_stored_is_in_english_whatever_the_language(settings, order, run_due):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {}
    event = EventFactory(due_at=0)
    with translation.override("ru"):
        run_due()
    event.refresh_from_db()
    assert event.error.startswith("Provider default can't be loaded: ")


def test_numbers_are_written_for_readers_but_not_for_browsers(operator, mixture, settings):
    settings.USE_THOUSAND_SEPARATOR = True
    if django.VERSION < (4, 0):  # later it is so without the setting
        settings.USE_L10N = True
    key = 1234567
    Event.objects.filter(pk=mixture["failed"].pk).update(id=key)
    event = Event.objects.get(pk=key)
    choice = {"action": "replay_events", "_selected_action": [key], "index": 0}
    with translation.override("de"):
        pages = [
            read(operator, page_of(event)),
            read(operator, LIST, causes=1),
            operator.post(LIST, choice).content.decode(),
        ]
    for html in pages:
        assert 'name="_selected_action" value="%d"' % key in html
    for drawing in re.findall("<svg class=.*?</svg>", pages[0], re.DOTALL):
        assert re.search(r' (?:x|cx|x1|width)="\d{4}"', drawing)
        assert not re.search(r' (?:x|cx|x1|width)="\d+\.\d{3}"', drawing)
