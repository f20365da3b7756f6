"""Filters, searches and paginates the list without reading the whole table."""

from __future__ import annotations

from typing import Any, Iterable, Sequence

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from .. import history
from ..conf import settings
from ..models import Event
from ..monitoring.causes import STATUSES as CAUSED
from ..monitoring.causes import UNFINISHED, name_cause
from ..monitoring.labels import find_label
from ..monitoring.newest import MAX_KEYS, list_newest, match
from ..monitoring.overview import match_due, match_late, match_retrying
from ..monitoring.problems import DUE, LATE, RETRYING
from ..providers.escaping import reveal
from ..providers.subject import (
    find_by_event,
    find_by_order,
    find_by_other_id,
    find_by_payment,
    list_recent,
)

MAX_COUNT = 1000
# How many pages beyond the current one are counted, and the last page that can be reached.
PAGES_AHEAD = 2
MAX_PAGE = 100_000
MAX_FOUND = 500
#: What events can be beside their statuses, and the condition for it.
STATES = {RETRYING: match_retrying, DUE: match_due, LATE: match_late}


class BoundedCount(int):
    """A number that is shown as what it is: there are more."""

    def __str__(self) -> str:
        return f"{int(self):d}+"


class BoundedPaginator(Paginator):
    """Counts no further than it must: of ten million events nobody reads the last page.

    It counts beyond the page that is shown, so that there always is a next one: the list, ordered
    by age, can be read from both ends, as far as somebody goes.
    """

    page_shown = 1

    @cached_property
    def count(self) -> int:
        """How many there are, or how many are counted: that says itself that there are more."""
        bound = find_bound(self.page_shown, self.per_page)
        number: int = self.object_list.order_by().values("pk")[: bound + 1].count()
        return BoundedCount(bound) if number > bound else number


def find_bound(page: int, per_page: int) -> int:
    """Return how many events are counted if a page is shown."""
    return max(MAX_COUNT, (page + PAGES_AHEAD) * per_page)


class IndexedList(ChangeList):
    """The list. That of a status or of a cause is read by the index that has its order.

    Not far from its two ends, where that takes too many keys.
    """

    queryset: Any

    def get_results(self, request: Any) -> None:
        """Read what the page shows."""
        chosen = self.queryset
        self.queryset = self.narrow(chosen, read_page(request.GET.get("p", "")))
        super().get_results(request)
        self.queryset = chosen

    def narrow(self, events: QuerySet, page: int) -> QuerySet:
        """Return those events that may be on a page and are counted, if the index tells them."""
        bound = find_bound(page, self.list_per_page)
        status, cause = self.params.get("status__exact"), self.params.get("cause")
        statuses = find_statuses(status, cause)
        if not {*statuses} & {*Event.TRANSITIONS} or self.query or bound > MAX_KEYS:
            return events
        is_oldest_first = not events.query.order_by[0].startswith("-")
        keys = list_newest(events, statuses, bound + 1, bool(cause), is_oldest_first)
        return events.filter(pk__in=keys)


def find_statuses(status: str | None, cause: str | None) -> Sequence[str]:
    """Return the statuses of events of which one, or a cause, was chosen."""
    if cause and status == RETRYING:
        return UNFINISHED
    if status:
        return [status]
    return CAUSED if cause else []


def read_by_index(base: type) -> type:
    """Return a class of lists, such as Django's, that reads by the index of statuses and causes."""
    return type(base.__name__, (IndexedList, base), {})


def read_page(text: str) -> int:
    """Return which page an address asks for, whatever somebody wrote into it."""
    return min(int(text) + 1, MAX_PAGE) if text.isdecimal() and len(text) < 9 else 1


class StatusFilter(admin.SimpleListFilter):
    """The statuses, and beside them what is retried, due, or waits for long."""

    title = _("status")
    parameter_name = "status__exact"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices."""
        return [(name, find_label(name)) for name in (*Event.TRANSITIONS, *STATES)]

    def queryset(self, request: Any, queryset: Any) -> Any:
        """Return the events of the choice."""
        if self.value() in STATES:
            return queryset.filter(STATES[self.value()]())
        return queryset.filter(**match("status", self.value())) if self.value() else queryset


class CauseFilter(admin.SimpleListFilter):
    """The one cause that was chosen: on the page of the causes, or on an event's."""

    title = _("cause")
    parameter_name = "cause"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        """Return the one choice."""
        key = request.GET.get(self.parameter_name)
        return [(key, find_title(key))] if key else []

    def queryset(self, request: Any, queryset: Any) -> Any:
        """Return the events that have the cause."""
        return queryset.filter(**match("cause_key", self.value())) if self.value() else queryset


def find_title(key: str) -> str:
    """Return what a cause is called, its key if that is not known."""
    record = history.read_causes([key]).get(key)
    return reveal(name_cause(record)) if record else key


class ChoiceFilter(admin.SimpleListFilter):
    """A filter whose choices come from the settings: in the table they would have to be sought."""

    def names(self) -> Iterable[str]:
        """Return the choices."""
        raise NotImplementedError

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices, and how each is shown."""
        return [(name, name or gettext("unparsed")) for name in self.names()]

    def queryset(self, request: Any, queryset: QuerySet) -> QuerySet:
        """Return the events that have the choice."""
        if self.value() is None:
            return queryset
        return queryset.filter(**{self.parameter_name: self.value()})


class ProviderFilter(ChoiceFilter):
    """The configured providers, and those of the newest events that were removed since."""

    title = _("provider")
    parameter_name = "provider"

    def names(self) -> Iterable[str]:
        """Return the names."""
        return sorted({*settings.PAYMENT_WEBHOOKS_PROVIDERS, *list_recent()})


class ConflictFilter(admin.SimpleListFilter):
    """Whether another event contradicts it, and nobody has closed that yet."""

    title = _("conflict")
    parameter_name = "conflict"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices; without the app history nothing is known of conflicts."""
        if not history.is_installed():
            return []
        return [("open", pgettext("conflict", "open")), ("closed", pgettext("conflict", "closed"))]

    def queryset(self, request: Any, queryset: QuerySet) -> QuerySet:
        """Return the events that have the choice."""
        if self.value() is None:
            return queryset
        return queryset.filter(pk__in=history.list_open("event_id", self.value() == "open"))


class TypeFilter(ChoiceFilter):
    """The types that have a handler, and what could not be parsed."""

    title = _("type")
    parameter_name = "type"

    def names(self) -> Iterable[str]:
        """Return the names."""
        return [*sorted(settings.PAYMENT_WEBHOOKS_HANDLERS), ""]


def search(term: str) -> list[int]:
    """Return the primary keys of the events of an id: their own, their order's, their payment's.

    If there is none, of a refund's or a dispute's.
    By the keys, which have indexes. And first the primary keys alone: asked for all in one, a
    database may go through the whole table in their order.
    """
    found = list(find_by_event(term).values_list("pk", flat=True))
    for related in (find_by_order(term), find_by_payment(term)):
        found += related.order_by("-pk").values_list("pk", flat=True)[:MAX_FOUND]
    return found or [event.pk for event in find_by_other_id(term)]
