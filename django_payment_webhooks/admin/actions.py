"""Operators' actions on the events that they select: replay, resolve, dry run.

Replaying and resolving ask for confirmation first. Of many events each request does a batch, and
its page sends the next request.
"""

from __future__ import annotations

import re
import time
from functools import partial
from typing import Any, Callable, NamedTuple

from django import forms
from django.contrib import admin, messages
from django.db import Error, connections, router
from django.db.models import Max, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext_lazy
from django.utils.translation import gettext_lazy as _

from .. import history
from ..models import Event
from ..monitoring.labels import name_event
from ..monitoring.problems import find_state
from ..operations import permissions, transactions
from ..operations.batches import BOUND, Tally, count_some, operate
from ..operations.dry_run import DryRun, dry_run
from ..operations.pruning import PRUNABLE, erase_order
from ..operations.replay import match_replayable, replay
from ..operations.resolve import RESOLVABLE, resolve
from ..providers.escaping import reveal_lines
from ..providers.loading import find_loading_problem
from ..providers.payloads import ParseError
from ..providers.personal import hide_personal, prepare, show_about
from .errors import mark_english
from .filters import BoundedCount
from .summary import summarize

MAX_DRY_RUN = 20
# How many events that can't be operated on are named.
MAX_REFUSED = 5
# How many events are shown before it is confirmed.
MAX_SHOWN = 10
BATCH = 200
# A value in a statement, but for a number within a name.
LITERAL = re.compile(r"'(?:[^'\\]|\\.|'')*'|(?<![\w\"`])\d+(?:\.\d+)?|\[redacted\]")
# How many seconds a request's batch may take at a slow rate.
PAUSE = 5
# How many seconds it may take whatever holds it up: a web server ends requests that take longer.
MAX_SECONDS = 10
# How an event can end, by the names of the form's numbers.
OUTCOMES = ("done", "left", "refused")


class Operation(NamedTuple):
    """What an operator can do with many events.

    ``permission`` is what its user needs. ``run(event, by, reason)`` returns whether it was
    possible. ``is_final``: whether it can't be undone. ``done`` and ``left`` have a place for a
    number, ``refused`` for the name of an event. ``note`` is stored, and so in English.
    """

    title: str
    permission: str
    question: str
    condition: Q
    needs_reason: bool
    is_final: bool
    run: Callable[..., bool]
    done: Any
    left: Any
    refused: str
    note: str


REPLAY = Operation(
    title=_("Replay"),
    permission=permissions.REPLAY,
    question=_(
        "The events become due again, and their attempts are counted from zero. No effect happens "
        "twice."
    ),
    condition=match_replayable(),
    needs_reason=False,
    is_final=False,
    run=replay,
    done=ngettext_lazy(
        "%(number)d event is due again.", "%(number)d events are due again.", "number"
    ),
    left=ngettext_lazy(
        "%(number)d event was left as it is: only failed, ignored, waiting and retrying events can "
        "be replayed.",
        "%(number)d events were left as they are: only failed, ignored, waiting and retrying "
        "events can be replayed.",
        "number",
    ),
    refused=_("{event} can't be replayed."),
    note="Replayed",
)
RESOLVE = Operation(
    title=_("Mark as handled by hand"),
    permission=permissions.RESOLVE,
    question=_(
        "Use this if somebody has already done by hand what these events should do. They become "
        "processed, no other event repeats their effect, and events that wait for them are "
        "released."
    ),
    condition=Q(status__in=RESOLVABLE),
    needs_reason=True,
    is_final=True,
    run=resolve,
    done=ngettext_lazy(
        "%(number)d event is marked as handled by hand.",
        "%(number)d events are marked as handled by hand.",
        "number",
    ),
    left=ngettext_lazy(
        "%(number)d event was left as it is: it is processed, or a worker has just changed it.",
        "%(number)d events were left as they are: they are processed, or a worker has just changed "
        "them.",
        "number",
    ),
    refused=_("{event} can't be marked as handled by hand."),
    note="Handled by hand",
)


CLOSE = Operation(
    title=_("Close the conflicts"),
    permission=permissions.RESOLVE,
    question=_(
        "Use this once somebody has compared the contradictory data, and corrected what was wrong."
    ),
    condition=Q(),
    needs_reason=True,
    is_final=False,
    run=history.close_conflicts,
    done=ngettext_lazy(
        "The conflicts of %(number)d event are closed.",
        "The conflicts of %(number)d events are closed.",
        "number",
    ),
    left=ngettext_lazy(
        "%(number)d event had no open conflict.",
        "%(number)d events had no open conflict.",
        "number",
    ),
    refused=_("The conflicts of {event} can't be closed."),
    note="Conflicts closed",
)
ERASE = Operation(
    title=_("Erase the orders"),
    permission=permissions.ERASE,
    question=_(
        "This erases the contents, the order ids and the history of these events, and of all other "
        "events of their orders. It can't be undone, and the events can't be read or replayed any "
        "more."
    ),
    condition=Q(status__in=PRUNABLE),
    needs_reason=True,
    is_final=True,
    run=erase_order,
    done=ngettext_lazy(
        "The order of %(number)d event is erased.",
        "The orders of %(number)d events are erased.",
        "number",
    ),
    left=ngettext_lazy(
        "%(number)d event had already been erased.",
        "%(number)d events had already been erased.",
        "number",
    ),
    refused=_("The order of {event} can't be erased."),
    note="Erased with its order",
)
REFUSED = ngettext_lazy(
    "Not possible for %(number)d event in total.",
    "Not possible for %(number)d events in total.",
    "number",
)
# Of what was confirmed. A request that is cut off has done a part, which nobody has counted.
MISSED = ngettext_lazy(
    "%(number)d event is not counted: it was not reached, or was changed by somebody else or by a "
    "request that was cut off.",
    "%(number)d events are not counted: they were not reached, or were changed by somebody else or "
    "by a request that was cut off.",
    "number",
)


class OperationForm(forms.Form):
    """The reason of an operation, and how far it has come."""

    reason = forms.CharField(
        max_length=200, required=False, widget=forms.TextInput(attrs={"size": 60})
    )
    rate = forms.IntegerField(min_value=1, required=False, label="Events a second, at most")
    # The primary key of the last event that was operated on, and of the last that shall be.
    after = forms.IntegerField(widget=forms.HiddenInput)
    until = forms.IntegerField(widget=forms.HiddenInput)
    total = forms.IntegerField(widget=forms.HiddenInput)
    done = forms.IntegerField(widget=forms.HiddenInput)
    left = forms.IntegerField(widget=forms.HiddenInput)
    refused = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, operation: Operation, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = operation.needs_reason


class OperationsMixin:
    """The actions of the events' admin."""

    actions = [
        *("replay_events", "resolve_events", "close_conflicts", "dry_run_events"),
        *("download_events", "erase_orders"),
    ]
    needed = {
        "replay_events": permissions.REPLAY,
        "resolve_events": permissions.RESOLVE,
        "close_conflicts": permissions.RESOLVE,
        "dry_run_events": permissions.REPLAY,
        "erase_orders": permissions.ERASE,
    }

    def replay_events(self, request, queryset):
        """Replay the chosen events."""
        return self.operate(request, queryset, REPLAY)

    replay_events.short_description = _("Replay the selected events")

    def resolve_events(self, request, queryset):
        """Mark the chosen events as handled by hand."""
        return self.operate(request, queryset, RESOLVE)

    resolve_events.short_description = _("Mark the selected events as handled by hand")

    def close_conflicts(self, request, queryset):
        """Close the conflicts of the chosen events."""
        return self.operate(request, queryset, CLOSE)

    close_conflicts.short_description = _("Close the conflicts of the selected events")

    def erase_orders(self, request, queryset):
        """Erase the orders of the chosen events."""
        return self.operate(request, queryset, ERASE)

    erase_orders.short_description = _("Erase the orders of the selected events")

    def dry_run_events(self, request, queryset):
        """Show what would become of the chosen events, by a dry run of each."""
        permissions.require(request.user, permissions.REPLAY)
        events = list(queryset.order_by("pk")[: MAX_DRY_RUN + 1])
        total, _is_more = count_some(queryset.filter(REPLAY.condition))
        return self.show(
            request,
            "dry_run",
            gettext("Dry run"),
            dry_runs=[
                (event, find_state(event), show_dry_run(event, request.user))
                for event in events[:MAX_DRY_RUN]
            ],
            is_cut=len(events) > MAX_DRY_RUN,
            most=MAX_DRY_RUN,
            total=show_total(total),
            **read_choice(request, action="replay_events"),
        )

    dry_run_events.short_description = _("Dry run of the selected events")

    def operate(
        self, request: HttpRequest, queryset: QuerySet, operation: Operation
    ) -> HttpResponse:
        """Ask for confirmation; then do a batch of what was confirmed, and go on or report."""
        permissions.require(request.user, operation.permission)
        chosen = queryset.filter(operation.condition)
        form = OperationForm(operation, request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            return self.ask(request, queryset, chosen, operation, form)
        progress = dict(form.cleaned_data, rate=form.cleaned_data["rate"] or "")
        is_stopped = "stop" in request.POST
        try:
            goes_on = not is_stopped and self.operate_on_batch(request, chosen, operation, progress)
        except Error as error:
            goes_on = False
            text = gettext("The database failed. What was done is done; select the rest again.")
            self.message_user(request, f"{text} {error!r}", messages.ERROR)
        if goes_on:
            return self.show_progress(request, operation, progress)
        self.report(request, operation, progress)
        return HttpResponseRedirect(self.find_origin(request))

    def ask(
        self,
        request: HttpRequest,
        queryset: QuerySet,
        chosen: QuerySet,
        operation: Operation,
        form: OperationForm,
    ) -> HttpResponse:
        """Show what is about to be done, and ask for the reason."""
        total, _is_more = count_some(chosen)
        is_across = request.POST.get("select_across") == "1"
        left = 0 if is_across else queryset.count() - total
        if not form.is_bound:
            last = chosen.aggregate(last=Max("pk"))["last"] or 0
            initial = {"after": 0, "until": last, "total": total + left, "left": left}
            form = OperationForm(operation, initial={**initial, "done": 0, "refused": 0})
        events = list(chosen.order_by("pk")[:MAX_SHOWN])
        prepare(event for event in events if event.error)
        facts = {
            "operation": operation,
            "total": show_total(total),
            "more": show_total(total, MAX_SHOWN),
            "left": left,
            "form": form,
            "summary": summarize(chosen),
            "events": [
                (event, find_state(event), show_about(event, event.error)) for event in events
            ],
            **read_choice(request),
        }
        return self.show(request, "confirmation", operation.title, **facts)

    def operate_on_batch(
        self,
        request: HttpRequest,
        chosen: QuerySet,
        operation: Operation,
        progress: dict[str, Any],
    ) -> bool:
        """Operate on the next events, and count them. Returns whether there may be more."""
        events = chosen.filter(pk__gt=progress["after"], pk__lte=progress["until"]).order_by("pk")
        size = find_batch(progress)
        batch = list(events[:size])
        tally = PageTally(partial(self.refuse, request, operation), progress)
        run = partial(
            run_and_log,
            operation=operation,
            by=request.user.get_username(),
            reason=progress["reason"],
            log=partial(self.log_change, request),
        )
        ends_at = time.monotonic() + MAX_SECONDS
        for event in operate(batch, run, tally):
            progress.update(after=event.pk, **tally.to_dict())
            if time.monotonic() > ends_at:
                break
        return len(batch) == size or progress["after"] < max([0, *(each.pk for each in batch)])

    def show_progress(
        self, request: HttpRequest, operation: Operation, progress: dict[str, Any]
    ) -> HttpResponse:
        """Show how far it has come. The page goes on by itself."""
        pause = find_batch(progress) / progress["rate"] if progress["rate"] else 0
        facts = {
            "form": OperationForm(operation, progress),
            "progress": dict(progress, total=show_total(progress["total"])),
            "pause": pause,
            "as_of": timezone.now(),
            **read_choice(request),
        }
        return self.show(request, "progress", operation.title, **facts)

    def refuse(
        self, request: HttpRequest, operation: Operation, event: Event, error: Exception
    ) -> None:
        """Say why an event can't be operated on."""
        text = operation.refused.format(event=name_event(event))
        text = format_html("{} {}", text, show_refusal(event, error))
        self.message_user(request, text, messages.ERROR)

    def report(self, request: HttpRequest, operation: Operation, progress: dict[str, Any]) -> None:
        """Say what was done."""
        if progress["done"]:
            text = operation.done % {"number": progress["done"]}
            self.message_user(request, text, messages.SUCCESS)
        if progress["left"]:
            text = operation.left % {"number": progress["left"]}
            self.message_user(request, text, messages.WARNING)
        if progress["refused"] > MAX_REFUSED:
            text = REFUSED % {"number": progress["refused"]}
            self.message_user(request, text, messages.ERROR)
        missed = progress["total"] - sum(progress[name] for name in OUTCOMES)
        if missed > 0 and progress["total"] < BOUND:
            text = MISSED % {"number": missed}
            self.message_user(request, text, messages.WARNING)

    def find_origin(self, request: HttpRequest) -> str:
        """Return the address of the page where the operation was asked for."""
        origin = request.POST.get("from_event", "")
        if not origin.isdecimal():
            return request.get_full_path()
        return reverse(self.view_name("change"), args=[origin])


def show_total(total: int, shown: int = 0) -> int:
    """Return how many events there are, but for those that are shown, or that there are more."""
    return BoundedCount(total - shown) if total >= BOUND else total - shown


class PageTally(Tally):
    """Counts what the requests of an operation did, and shows the first problems."""

    def __init__(self, show: Callable[[Event, Exception], None], progress: dict[str, Any]) -> None:
        super().__init__(*(progress[name] for name in OUTCOMES))
        self.show = show

    def refuse(self, event: Event, error: Exception) -> None:
        """Count an event that could not be operated on."""
        if self.refused < MAX_REFUSED:
            self.show(event, error)
        super().refuse(event, error)

    def to_dict(self) -> dict[str, int]:
        """Return the numbers by their names in the form."""
        return {name: getattr(self, name) for name in OUTCOMES}


@transactions.operation
def run_and_log(
    event: Event, operation: Operation, by: str, reason: str, log: Callable[[Event, str], Any]
) -> bool:
    """Operate on an event and log that, or neither. Returns whether it was possible."""
    if not operation.run(event, by=by, reason=reason):
        return False
    log(event, f"{operation.note}: {reason}" if reason else f"{operation.note}.")
    return True


def show_refusal(event: Event, error: Exception) -> str:
    """Return why something was not possible: its provider can't be loaded, or an error says it."""
    if isinstance(error, transactions.LockedError):
        return str(error)
    problem = find_loading_problem(event.provider)
    return problem or mark_english(show_about(event, describe(error)))


def describe(error: Exception) -> str:
    """Return an error in words: in its own, if it is meant for operators."""
    is_plain = isinstance(error, (transactions.OperationError, ParseError))
    return str(error) if is_plain else repr(error)


def show_dry_run(event: Event, user: Any) -> DryRun:
    """Run an event dry. Its statements have the payload's values: who may not see those, gets none.

    What is personal is hidden in any case.
    """
    run = dry_run(event)
    shows_values = permissions.may(user, permissions.VIEW_PAYLOAD)
    statements = [show_statement(event, each, shows_values) for each in run.statements]
    return run._replace(explanation=show_about(event, run.explanation), statements=statements)


def show_statement(event: Event, statement: str, shows_values: bool) -> str:
    """Return a statement for reading, without what is personal, or without any value.

    Only to MySQL a backslash hides the quote that follows it. Elsewhere it is doubled meanwhile:
    a value that ends with one must not turn the next one inside out.
    """
    is_mysql = connections[router.db_for_write(Event)].vendor == "mysql"
    backslash = "\\" if is_mysql else "\\\\"
    text = hide_personal(event, statement.replace("\\", backslash))
    shown = text if shows_values else LITERAL.sub("?", text)
    return reveal_lines(shown.replace(backslash, "\\"))


def find_batch(progress: dict[str, Any]) -> int:
    """Return how many events a request does: few at a slow rate, which the next one waits for."""
    return min(BATCH, progress["rate"] * PAUSE) if progress["rate"] else BATCH


def read_choice(request: HttpRequest, **changes: str) -> dict[str, Any]:
    """Return what a form must repeat, for the same events to be chosen by it."""
    names = ("action", "select_across", "from_event")
    choice = {name: request.POST.get(name, "") for name in names}
    return {
        "choice": {**choice, **changes, "index": 0},
        "selected": request.POST.getlist(admin.helpers.ACTION_CHECKBOX_NAME),
    }
