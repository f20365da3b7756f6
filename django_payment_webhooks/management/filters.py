"""Selects a command's events: its options, what they find, and the message if they find none.

An unknown name is a typo, and an error that gives the nearest names. A known name that finds
nothing now is not an error.
"""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from datetime import datetime, timedelta
from difflib import get_close_matches
from shlex import quote
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence

from django.db.models import Max, Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from .. import history
from ..conf import settings
from ..models import Event, digest
from ..monitoring.causes import read_cause, read_causes
from ..monitoring.newest import match
from ..monitoring.overview import match_retrying
from ..monitoring.problems import RETRYING
from ..providers.causes import is_bug
from ..providers.equalizing import equalize
from ..providers.escaping import escape
from ..providers.personal import hide_personal
from ..providers.spelling import MAX_NAMED, ask_whether, suggest
from ..providers.subject import find_by_event, find_by_order, find_by_payment, list_accounts
from .terminal import between, mix_words, read_text, unable

FILTERS = (
    *("status", "type", "provider", "order", "payment", "cause", "conflict"),
    *("since", "until", "error"),
)
OPEN, CLOSED = "open", "closed"
# How many of the newest events are looked at for names that are no longer in the settings.
LOOKED_AT = 10000
# How many different errors are looked at.
MAX_ERRORS = 200
MAX_SHOWN = 100
# The largest number of events, and the largest primary key.
MAX_NUMBER = 10**9
MAX_KEY = 2**63 - 1
AGE = re.compile(r"([0-9]{1,5})([mhdw])\Z")
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
MOMENT = "an age such as 90m, 12h, 3d or 2w, or a time such as 2026-11-23 or 2026-11-23T10:00"


class Choice(NamedTuple):
    """The events that are chosen, and the names of those that are not there."""

    events: QuerySet
    missing: list[str]


# ---- the options


def add_names(parser: Any) -> None:
    """Add the arguments that name single events."""
    mix_words(parser)
    add = parser.add_argument
    add("ids", nargs="*", metavar="ID", help="an event, by the id that its provider gave it")
    text = "an event, by its primary key; may be repeated"
    key = between(1, MAX_KEY)
    add("--key", type=key, action="append", default=[], metavar="N", help=text)


def add_filters(parser: Any, statuses: Iterable[str], status_help: str) -> None:
    """Add the options that all must match."""
    add = parser.add_argument
    text = f"events of this status; may be repeated ({status_help})"
    add("--status", action="append", choices=sorted(statuses), default=[], help=text)
    add("--type", type=read_text, help="events of this type")
    add("--provider", type=read_text, metavar="NAME", help="events of this provider")
    add("--order", type=read_text, metavar="ID", help="events of this order")
    add("--payment", type=read_text, metavar="ID", help="events of this payment")
    text = "events whose last attempt failed for this cause"
    add("--cause", type=read_text, metavar="KEY", help=text)
    text = "events that another event contradicts, and whose conflict is open, or was closed"
    add("--conflict", choices=[OPEN, CLOSED], help=text)
    text = f"events that were received at this moment or later: {MOMENT}"
    add("--since", type=read_moment, metavar="AGE|TIME", help=text)
    text = "events that were received before this moment, likewise"
    add("--until", type=read_moment, metavar="AGE|TIME", help=text)
    text = "events whose error contains this text, in capitals or not"
    add("--error", type=read_text, metavar="TEXT", help=text)


def add_limit(parser: Any, default: int | None = None) -> None:
    """Add the option that bounds how many events are chosen."""
    text = "at most N events" + (f" (default: {default})" if default else ", the oldest first")
    limit = between(1, MAX_NUMBER)
    parser.add_argument("--limit", type=limit, default=default, metavar="N", help=text)


def add_batch(parser: Any) -> None:
    """Add the option that says how many events are read at a time."""
    text = "read N events at a time (default: 500)"
    batch = between(1, 100_000)
    parser.add_argument("--batch", type=batch, default=500, metavar="N", help=text)


def read_moment(text: str) -> datetime:
    """Return a moment that was given as an age, as a date, or as a date and a time.

    Raises ``ArgumentTypeError``.
    """
    age = AGE.match(text)
    if age:
        return timezone.now() - timedelta(**{UNITS[age.group(2)]: int(age.group(1))})
    try:
        date = parse_date(text)
        moment = datetime(date.year, date.month, date.day) if date else parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise ArgumentTypeError(f"{text!a} is neither {MOMENT.replace(', or', ', nor')}")
    if settings.USE_TZ and timezone.is_naive(moment):
        return timezone.make_aware(moment)
    return moment


# ---- the events


def has_filters(options: dict[str, Any]) -> bool:
    """Return whether any option chooses events."""
    return any(options[name] for name in FILTERS)


def is_named(options: dict[str, Any]) -> bool:
    """Return whether single events are named."""
    return bool(options["ids"] or options["key"])


def check_choice(options: dict[str, Any]) -> None:
    """Raise ``CommandError`` if nothing says which events are to be changed."""
    if not is_named(options) and not has_filters(options):
        raise unable(
            "Say which events: by their ids, or by an option. --status failed chooses all failed."
        )


def choose(options: dict[str, Any]) -> Choice:
    """Return the events to be changed; failed ones, unless they are named or a status is."""
    if not options["status"] and not is_named(options):
        options["status"] = [Event.FAILED]
    return find_named(options, find_events(options))


def find_events(options: dict[str, Any]) -> QuerySet:
    """Return the events that match all options. Raises ``CommandError`` if none ever could."""
    if options["since"] and options["until"] and options["since"] >= options["until"]:
        raise unable("--since must be before --until.")
    conditions = {
        "type": options["type"],
        "provider": options["provider"],
        "received_at__gte": options["since"],
        "received_at__lt": options["until"],
        "error__icontains": options["error"],
    }
    events = Event.objects.filter(**{name: value for name, value in conditions.items() if value})
    if options["cause"]:
        events = events.filter(**match("cause_key", options["cause"]))
    if options["status"]:
        events = events.filter(match_statuses(options["status"]))
    if options["conflict"]:
        events = find_conflicting(events, options["conflict"] == OPEN)
    if options["order"]:
        events = restrict(events, find_by_order(options["order"]))
    if options["payment"]:
        events = restrict(events, find_by_payment(options["payment"]))
    return events


def find_conflicting(events: QuerySet, is_open: bool = True) -> QuerySet:
    """Return those of some events that have an open conflict, or a closed one.

    Raises ``CommandError`` where conflicts are not recorded.
    """
    if not history.is_installed():
        raise unable("Conflicts are not recorded: the app history is not installed.")
    return events.filter(pk__in=history.list_open("event_id", is_open))


def match_statuses(statuses: Sequence[str]) -> Q:
    """Return the condition for these statuses; an event that is retrying has two."""
    condition = Q(status__in=statuses)
    if RETRYING in statuses:
        condition |= match_retrying()
    return condition


def restrict(events: QuerySet, others: QuerySet) -> QuerySet:
    """Return those events that are among some others, which are few."""
    return events.filter(pk__in=list(others.values_list("pk", flat=True)))


def find_named(options: dict[str, Any], events: QuerySet) -> Choice:
    """Return those of some events that are named; all of them if none is."""
    if not is_named(options):
        return Choice(events, [])
    accounts = list_accounts()
    names = {digest(account, name): name for name in options["ids"] for account in accounts}
    found = dict(Event.objects.filter(pk__in=options["key"]).values_list("pk", "dedup_key"))
    found.update(Event.objects.filter(dedup_key__in=list(names)).values_list("pk", "dedup_key"))
    there = {names.get(dedup_key) for dedup_key in found.values()}
    missing = [name for name in options["ids"] if name not in there]
    missing += [str(key) for key in options["key"] if key not in found]
    return Choice(events.filter(pk__in=list(found)), missing)


# ---- nothing


def describe_nothing(options: dict[str, Any]) -> str:
    """Return in words that no event matches. Raises ``CommandError`` for a name that nothing has.

    To be asked once the filters have found nothing: what they find needs no explanation.
    """
    if options["provider"]:
        check_provider(options["provider"])
    if options["type"]:
        check_type(options["type"])
    if options["order"]:
        check_order(options["order"])
    if options["payment"]:
        check_payment(options["payment"])
    if options["error"]:
        check_error(options["error"])
    if options["cause"]:
        check_cause(options["cause"])
    given = [
        f"--{name} {describe_value(value)}"
        for name in FILTERS
        for value in as_list(options[name])
        if value
    ]
    return f"No event matches {' '.join(given)}." if given else "There is no event."


def as_list(value: Any) -> list[Any]:
    """Return the values of an option."""
    return value if isinstance(value, list) else [value]


def describe_value(value: Any) -> str:
    """Return the value of an option as it could be given again."""
    return quote(value.isoformat() if isinstance(value, datetime) else escape(value))


def check_provider(name: str) -> None:
    """Raise ``CommandError`` for a provider that neither the settings nor the newest events have.

    Asked of the settings first: they may name a function, which knows more than can be listed.
    """
    if name not in settings.PAYMENT_WEBHOOKS_PROVIDERS:
        known = {*settings.PAYMENT_WEBHOOKS_PROVIDERS, *list_recent_values("provider")}
        check_name("provider is called", name, known)


def check_type(name: str) -> None:
    """Raise ``CommandError`` for a type that is not handled and that no recent event has."""
    check_name("event has the type", name, list_types())


def list_types() -> set[str]:
    """Return the types that are handled, and those of the newest events."""
    return {*settings.PAYMENT_WEBHOOKS_HANDLERS, *list_recent_values("type")} - {""}


def list_recent_values(column: str) -> set[str]:
    """Return the different values of a column among the newest events."""
    last = Event.objects.aggregate(last=Max("pk"))["last"] or 0
    newest = Event.objects.filter(pk__gt=last - LOOKED_AT)
    return set(newest.values_list(column, flat=True).distinct())


def check_name(what: str, name: str, known: set[str]) -> None:
    """Raise ``CommandError`` for a name that is not known, with the nearest ones that are."""
    if name not in known:
        raise unable(f"No {what} {name!a}. {suggest(name, known)}")


def check_order(order_id: str) -> None:
    """Raise ``CommandError`` if no event is of an order, and some are of one spelled like it."""
    check_subject("order", order_id, "order_id", find_by_order)


def check_payment(payment_id: str) -> None:
    """Raise ``CommandError`` if no event is of a payment, and some are of one spelled like it."""
    check_subject("payment", payment_id, "payment_id", find_by_payment)


def check_subject(what: str, name: str, column: str, find: Callable[[str], QuerySet]) -> None:
    """Raise ``CommandError`` if nothing has a name, and something has one spelled like it."""
    if find(name).exists():
        return
    near = find_similar(name, column, find)
    if near:
        raise unable(f"No event is of the {what} {name!a}. {ask_whether(near)}")


def describe_missing(name: str) -> str:
    """Return in words that no event is called so, and what may have been meant."""
    text = f"{escape(name)} was not found."
    if name.isdecimal() and Event.objects.filter(pk=min(int(name), MAX_KEY)).exists():
        return f"{text} {ask_whether([f'--key {name}'])}"
    near = find_similar(name, "provider_event_id", find_by_event)
    return f"{text} {ask_whether(near)}" if near else text


def find_similar(name: str, column: str, find: Callable[[str], QuerySet]) -> list[str]:
    """Return the names that are spelled like one: in another case, or with other separators.

    The likeliest spellings are found at any age, by the index; others among the newest events.
    """
    stripped = name.strip().lstrip("#")
    likely = {stripped, stripped.upper(), stripped.lower(), stripped.capitalize()}
    found = {each for text in likely for each in find(text).values_list(column, flat=True)}
    plain = simplify(name)
    found |= {each for each in list_recent_values(column) if plain and simplify(each) == plain}
    return sorted(escape(each) for each in found - {"", name})[:MAX_NAMED]


def simplify(text: str) -> str:
    """Return the letters and digits of a text, in one case."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def check_error(text: str) -> None:
    """Raise ``CommandError`` for a text that is in none of the newest errors, if there are any."""
    errors = list_errors()
    wanted = text.casefold()
    if not errors or any(wanted in error.casefold() for error in errors):
        return
    near = {error: key for error, key in errors.items() if is_like_a_part(wanted, error.casefold())}
    shown = "".join(f"\n  {text}" for text in show_errors(near or errors))
    title = "The nearest are" if near else "The newest are"
    raise unable(f"No event has an error with {text!a}. {title}:{shown}")


def show_errors(errors: Mapping[str, int]) -> list[str]:
    """Return some errors for a terminal, one of each cause, without what is personal."""
    different: dict[str, int] = {}
    for error, key in errors.items():
        different.setdefault(equalize(error, is_bug(error)), key)
    keys = list(different.values())[:MAX_NAMED]
    events = Event.objects.in_bulk(keys)
    shown = [events[key] for key in keys if key in events]
    return [escape(hide_personal(event, event.error))[:MAX_SHOWN] for event in shown]


def list_errors() -> dict[str, int]:
    """Return the different errors of the newest events that failed, or whose attempt did.

    Each with the primary key of such an event.
    """
    failed = Event.objects.filter(status=Event.FAILED).order_by("-pk")
    retried = Event.objects.filter(enqueue_at__isnull=False).order_by("-enqueue_at")
    found: dict[str, int] = {}
    for events in (failed, retried):
        for error, key in events.values_list("error", "pk")[:LOOKED_AT]:
            if error:
                found.setdefault(error, key)
    return dict(list(found.items())[:MAX_ERRORS])


def check_cause(key: str) -> None:
    """Raise ``CommandError`` for a cause that no event has, and that the history does not know."""
    if read_cause(key, parsed=0) is None and key not in history.read_causes([key]):
        known = {cause.key for cause in read_causes(parsed=0)}
        raise unable(f"There is no cause {key!a}. {suggest(key, known)}")


def is_like_a_part(wanted: str, text: str) -> bool:
    """Return whether some words of a text, as many as are wanted, are nearly those."""
    words, count = text.replace("(", " ").replace(":", " ").split(), len(wanted.split())
    parts = {" ".join(words[start : start + count]) for start in range(len(words))}
    return bool(get_close_matches(wanted.strip(":("), list(parts), n=1, cutoff=0.75))
