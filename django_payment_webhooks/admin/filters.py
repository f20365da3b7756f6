"""How the list is filtered, searched and divided into pages, without reading the whole table."""

from __future__ import annotations

from typing import Any, Iterable

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

from .. import history
from ..conf import settings
from ..providers.subject import find_by_event, find_by_order, find_by_payment, list_recent

MAX_COUNT = 1000
MAX_FOUND = 500


class BoundedPaginator(Paginator):
    """Counts no further than it must: of ten million events nobody reads the last page."""

    @cached_property
    def count(self) -> int:
        """How many there are, or how many are shown at most."""
        number: int = self.object_list.order_by()[:MAX_COUNT].count()
        return number


class ChoiceFilter(admin.SimpleListFilter):
    """A filter whose choices come from the settings: in the table they would have to be sought."""

    def names(self) -> Iterable[str]:
        """Return the choices."""
        raise NotImplementedError

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices, and how each is shown."""
        return [(name, name or "unparsed") for name in self.names()]

    def queryset(self, request: Any, queryset: QuerySet) -> QuerySet:
        """Return the events that have the choice."""
        if self.value() is None:
            return queryset
        return queryset.filter(**{self.parameter_name: self.value()})


class ProviderFilter(ChoiceFilter):
    """The configured providers, and those of the newest events that were removed since."""

    title = parameter_name = "provider"

    def names(self) -> Iterable[str]:
        """Return the names."""
        return sorted({*settings.PAYMENT_WEBHOOKS_PROVIDERS, *list_recent()})


class ConflictFilter(admin.SimpleListFilter):
    """Whether another event contradicts it, and nobody has closed that yet."""

    title = parameter_name = "conflict"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        """Return the choices; without the app history nothing is known of conflicts."""
        return [("open", "open"), ("closed", "closed")] if history.is_installed() else []

    def queryset(self, request: Any, queryset: QuerySet) -> QuerySet:
        """Return the events that have the choice."""
        if self.value() is None:
            return queryset
        return queryset.filter(pk__in=history.list_open("event_id", self.value() == "open"))


class TypeFilter(ChoiceFilter):
    """The types that have a handler, and what could not be parsed."""

    title = parameter_name = "type"

    def names(self) -> Iterable[str]:
        """Return the names."""
        return [*sorted(settings.PAYMENT_WEBHOOKS_HANDLERS), ""]


def search(term: str) -> list[int]:
    """Return the primary keys of the events of an id: their own, their order's, their payment's.

    By the keys, which have indexes. And first the primary keys alone: asked for all in one, a
    database may go through the whole table in their order.
    """
    found = list(find_by_event(term).values_list("pk", flat=True))
    for related in (find_by_order(term), find_by_payment(term)):
        found += related.order_by("-pk").values_list("pk", flat=True)[:MAX_FOUND]
    return found
