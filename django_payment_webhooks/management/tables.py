"""Events as rows: of a table for people, or of a file for a spreadsheet."""

from __future__ import annotations

import csv
from contextlib import suppress
from datetime import datetime
from math import inf
from textwrap import fill
from typing import Any, Iterable, Iterator, Mapping, NamedTuple, Sequence

from django.utils import timezone

from ..models import Event
from ..monitoring.problems import find_state
from ..providers.escaping import escape, escape_cell
from ..providers.personal import hide_personal


class Column(NamedTuple):
    """A column for people: its title, its name in a row, and how wide it gets at most."""

    title: str
    name: str
    width: int


COLUMNS = (
    Column("KEY", "key", 20),
    Column("RECEIVED", "received_at", 25),
    Column("STATUS", "status", 9),
    Column("TRIES", "attempts", 5),
    Column("PROVIDER", "provider", 16),
    Column("TYPE", "type", 28),
    Column("ORDER", "order_id", 24),
    Column("MONEY", "money", 16),
    Column("ID", "event_id", 32),
    Column("ERROR", "error", 80),
)


def make_row(event: Event) -> dict[str, Any]:
    """Return what a list shows of an event, as plain JSON."""
    return {
        "key": event.pk,
        "received_at": write_moment(event.received_at),
        "status": find_state(event),
        "attempts": event.attempts,
        "provider": event.provider,
        "type": event.type,
        "order_id": event.order_id,
        "payment_id": event.payment_id,
        "money": describe_money(event),
        "event_id": event.provider_event_id,
        "cause": event.cause_key or "",
        "error": hide_personal(event, event.error),
    }


def write_moment(moment: datetime | None) -> str:
    """Return a moment as text, in the project's time zone; "" for none."""
    if moment is None:
        return ""
    if timezone.is_aware(moment):
        moment = timezone.localtime(moment)
    return moment.isoformat(" ", "seconds")


def describe_money(event: Event) -> str:
    """Return the sum that an event is about; "" if it has none, or none that can be read."""
    with suppress(Exception):  # a provider that can't be loaded, a body that is pruned
        return str(event.money or "")
    return ""


def draw_table(rows: Sequence[Mapping[str, Any]], width: float = inf) -> Iterator[str]:
    """Yield the lines of a table, whose columns are as wide as they must be.

    If it is wider than the terminal, each row is a paragraph without its empty cells.
    """
    cells = [[shorten(row[column.name], column.width) for column in COLUMNS] for row in rows]
    lines = [[column.title for column in COLUMNS], *cells]
    widths = [max(map(len, texts)) for texts in zip(*lines)]
    if sum(widths) + 2 * len(widths) > width:
        for line in lines:
            yield fill(
                "  ".join(filter(None, line)),
                int(width) - 1,
                subsequent_indent="    ",
                # An id is never cut in two: it is to be copied.
                break_long_words=False,
                break_on_hyphens=False,
            )
        return
    for line in lines:
        yield "  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip()


def shorten(value: Any, width: int) -> str:
    """Return a value as text that fills one line, cut to a width."""
    text = escape(value)
    return text if len(text) <= width else text[: width - 3] + "..."


def write_csv(stream: Any, rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Write rows to a stream, the names of the columns first."""
    table = csv.writer(stream)
    table.writerow(names)
    for row in rows:
        table.writerow([escape_cell(row[name]) for name in names])
