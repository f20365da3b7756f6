"""The downloads: events for a spreadsheet, and one event for a ticket."""

from __future__ import annotations

import csv
from contextlib import suppress
from typing import Any, Iterator

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from ..models import Event
from ..operations import permissions
from ..providers.confirmed import read_sent
from ..providers.escaping import escape_cell
from ..providers.personal import list_known, show_about
from ..providers.redaction import redact
from .errors import read_errors

COLUMNS = (
    *("received_at", "provider", "provider_event_id", "type", "status", "order_id"),
    *("payment_id", "attempts"),
)
# What is written down of a download.
WHOLE = "Downloaded the whole payload."
REDACTED = "Downloaded the redacted payload."
# How many events are read at once: with their bodies, for the amounts.
BATCH = 100


class Line:
    """A file that keeps nothing: what is written into it, a writer of lines gets back."""

    def write(self, text: str) -> str:
        """Return the text."""
        return text


class DownloadsMixin:
    """The downloads of the events' admin."""

    def download_events(self, request, queryset):
        """Return the chosen events as a file for a spreadsheet, all of them however many."""
        answer = StreamingHttpResponse(write_csv(queryset), content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="events.csv"'
        return answer

    download_events.short_description = _("Download the selected events as CSV")

    def download(self, request: HttpRequest, event: Event, is_whole: bool) -> JsonResponse:
        """Return an event for a ticket, without what is personal unless the whole is asked for.

        Its payload is there for those who may see it, and that is written down.
        """
        if not self.may_view(request, event):
            raise PermissionDenied
        found = {name: getattr(event, name) for name in COLUMNS}
        with translation.override("en"):  # a ticket is the same whoever has downloaded it
            found.update(money=self.shown_money(event) or None, error=" ".join(read_errors(event)))
        if permissions.may(request.user, permissions.VIEW_PAYLOAD):
            self.record_look(request, event, WHOLE if is_whole else REDACTED)
            with suppress(Exception):  # it can't be parsed, or its provider can't be loaded
                payload = read_sent(event)
                found["payload"] = payload if is_whole else redact(payload, list_known(event))
        answer = JsonResponse(found, json_dumps_params={"indent": 2})
        answer["Content-Disposition"] = f'attachment; filename="event-{event.pk}.json"'
        return answer


def write_csv(events: QuerySet) -> Iterator[str]:
    """Yield the lines of a file with some events, the oldest first, without what is personal."""
    writer: Any = csv.writer(Line())
    yield writer.writerow([*COLUMNS, "amount", "currency", "error"])
    for event in read_batches(events):
        cells = [getattr(event, name) for name in COLUMNS]
        cells += [*read_sum(event), show_about(event, event.error)]
        yield writer.writerow([escape_cell(cell) for cell in cells])


def read_batches(events: QuerySet) -> Iterator[Event]:
    """Yield events with their bodies, a few at a time."""
    last = 0
    while True:
        batch = list(events.defer(None).filter(pk__gt=last).order_by("pk")[:BATCH])
        yield from batch
        if len(batch) < BATCH:
            return
        last = batch[-1].pk


def read_sum(event: Event) -> tuple[Any, Any]:
    """Return the amount that an event is about, and its currency; nothing if it can't be read."""
    with suppress(Exception):  # whatever its provider's own class raises
        if event.money:
            return event.money.amount, event.money.currency
    return "", ""
