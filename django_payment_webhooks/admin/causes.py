"""What is broken, in the admin: a page of the causes, and what can be done about one of them."""

from __future__ import annotations

from typing import NamedTuple

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .. import history
from ..monitoring.causes import (
    MAX_CAUSES,
    MAX_PARSED,
    FailureCause,
    acknowledge,
    count_keys,
    list_keys,
    read_named,
    search_causes,
)
from ..monitoring.problems import describe_next, show_sums
from ..monitoring.wording import show_number
from ..operations import permissions
from ..operations.transactions import LockedError
from ..providers.escaping import reveal, reveal_lines
from ..providers.personal import hide_personal
from .filters import BoundedCount, find_title, read_page


class Line(NamedTuple):
    """What the page shows of a cause: the cause, and parts of it in words."""

    cause: FailureCause
    title: str
    failed: str
    retrying: str
    types: list[str]
    next: str
    money: str
    number: int


class Found(NamedTuple):
    """The causes on a page, how many there are on all pages, and the pages before and after it."""

    causes: list[FailureCause]
    number: int
    before: int | None
    after: int | None


def find_causes(text: str, page: int) -> Found:
    """Return the causes on a page, of all, or of those that a text finds."""
    start, end = MAX_CAUSES * (page - 1), MAX_CAUSES * page
    if text:
        matching = search_causes(text)
        causes, number = matching[start:end], len(matching)
    else:
        keys = list_keys()
        number, is_bounded = count_keys(keys)
        causes = read_named(keys[:number][start:end], MAX_PARSED)
        number = BoundedCount(number) if is_bounded else number
    # In an address pages are counted from 0.
    return Found(causes, number, page - 2 if page > 1 else None, page if end < number else None)


def describe_cause(cause: FailureCause) -> Line:
    """Return what a page shows of a cause."""
    return Line(
        cause=cause,
        title=reveal(cause.title),
        failed=show_number(cause.failed),
        retrying=show_number(cause.retrying),
        types=[reveal(name) for name in cause.types],
        next=describe_next(cause.next_seconds) if cause.retrying.number else "",
        money=show_sums(cause.money, cause.is_partial),
        number=cause.failed.number + cause.retrying.number,
    )


class CausesMixin:
    """The causes, for the events' admin."""

    def causes_view(self, request: HttpRequest) -> HttpResponse:
        """Show the page of the causes, or acknowledge one."""
        if request.method == "POST":
            self.acknowledge(request)
            return HttpResponseRedirect(request.get_full_path())
        text = request.GET.get("text", "").replace("\0", "").strip()
        found = find_causes(text, read_page(request.GET.get("p", "")))
        return self.show(
            request,
            "causes",
            gettext("Causes"),
            as_of=timezone.now(),
            text=text,
            found=found,
            lines=[describe_cause(cause) for cause in found.causes],
            may_replay=permissions.may(request.user, permissions.REPLAY),
            may_acknowledge=permissions.may(request.user, permissions.RESOLVE),
            has_history=history.is_installed(),
        )

    def acknowledge(self, request: HttpRequest) -> None:
        """Acknowledge the cause that a form names, with its note."""
        permissions.require(request.user, permissions.RESOLVE)
        name, seen = request.user.get_username(), request.POST.get("seen", "")
        facts = (request.POST.get("key", ""), name, request.POST.get("note", ""))
        try:
            is_done = acknowledge(*facts, seen=int(seen) if seen.isdecimal() else None)
        except (ValueError, LockedError) as error:
            self.message_user(request, str(error), messages.ERROR)
            return
        if is_done:
            text = gettext("The cause is acknowledged. Nothing warns about it until it changes.")
            self.message_user(request, text, messages.SUCCESS)
        else:
            text = gettext("No event has this cause any more.")
            self.message_user(request, text, messages.WARNING)

    def cause(self, event):
        """Return the cause of the last attempt's failure, with a link to its other events."""
        if not event.cause_key:
            return ""
        address = f"{reverse(self.view_name('changelist'))}?cause={event.cause_key}"
        text = gettext("All events of this cause")
        return format_html(
            '<a href="{}" class="pw-anchor">{}</a>: <span lang="en">{}</span>',
            address,
            text,
            find_title(event.cause_key),
        )

    cause.short_description = _("cause")

    def traceback(self, event):
        """Return where the last attempt failed."""
        text = hide_personal(event, history.read_traceback(event))
        shown = format_html('<pre class="pw-text" lang="en">{}</pre>', reveal_lines(text))
        return shown if text else ""

    traceback.short_description = _("last traceback")
