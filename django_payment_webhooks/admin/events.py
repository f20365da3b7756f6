"""The events in the admin: a list, and a page for each."""

from __future__ import annotations

import json
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import get_content_type_for_model
from django.contrib.admin.utils import flatten_fieldsets, unquote
from django.db import connections
from django.db.models import Exists, OuterRef
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.module_loading import import_string
from django.utils.text import capfirst
from django.utils.timesince import timesince
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from .. import history
from ..history.timeline import find_moment, read_order_timeline, read_timeline
from ..models import Event
from ..monitoring.labels import FIELDS, find_label, name_all, name_event
from ..monitoring.overview import is_retrying
from ..monitoring.wording import show_moment
from ..operations import permissions
from ..operations.replay import is_replayable
from ..operations.resolve import RESOLVABLE
from ..providers.confirmed import read_sent
from ..providers.escaping import reveal, reveal_lines
from ..providers.loading import find_loading_problem
from ..providers.personal import list_known, prepare, show_about
from ..providers.redaction import REDACTED, is_hidden, redact, redact_text
from ..providers.subject import find_dashboard, read_other_ids
from .actions import OperationsMixin
from .causes import CausesMixin
from .downloads import DownloadsMixin
from .drawing import draw_timeline
from .errors import show_errors
from .filters import (
    BoundedPaginator,
    CauseFilter,
    ConflictFilter,
    ProviderFilter,
    StatusFilter,
    TypeFilter,
    read_by_index,
    read_page,
    search,
)
from .folding import fold_steps
from .overview import read_context, read_hours

name_all()

UNFOLD = "unfold.admin.ModelAdmin"
ModelAdmin: Any = import_string(UNFOLD) if apps.is_installed("unfold") else admin.ModelAdmin

MAX_ERROR = 100


def show_json(payload, event):
    """Return a payload for reading, without what is to be redacted."""
    found = redact(payload, list_known(event))
    return show_text(json.dumps(found, indent=2, ensure_ascii=False, default=str))


def show_raw(body, event):
    """Return a body that is no document for reading, without what is to be redacted."""
    text = bytes(body).decode("utf-8", "backslashreplace")
    return show_text(redact_text(text, list_known(event)))


def show_text(text):
    """Return a text for a page, as it is written."""
    return format_html('<pre class="pw-text">{}</pre>', reveal_lines(text))


def show_changes(conflict, event):
    """Return what differs in a conflict for reading: hidden is what is named so, or looks so."""
    known = list_known(event)
    return [
        (reveal(path), *(show_change(path, value, known) for value in values))
        for path, *values in conflict.changes
    ]


def show_change(path, value, known):
    """Return one of two values that differ for reading."""
    return REDACTED if is_hidden((path,)) else reveal(redact_text(value, known))


def show_seconds(seconds):
    """Return a moment in Unix seconds for a page; "" for none."""
    return show_moment(find_moment(seconds)) if seconds else ""


def show_field(name, show=reveal):
    """Return a method of the admin that shows a field of an event, under the field's name."""

    def shown(self, event):
        return show(getattr(event, name))

    shown.short_description = FIELDS[name]
    return shown


class NamedEvent:
    """An event where the admin's templates want its key, its model and what it is called."""

    # Asked for by unfold.
    _meta = Event._meta

    def __init__(self, event):
        self.pk, self.name = event.pk, name_event(event)

    def __str__(self):
        return self.name


@admin.register(Event)
class EventAdmin(CausesMixin, OperationsMixin, DownloadsMixin, ModelAdmin):
    """Events are facts, which can't be added, changed or deleted here.

    Replaying and resolving them, and seeing their payloads, need permissions of their own.
    """

    list_display = [
        "shown_status",
        "shown_type",
        "shown_error",
        "age",
        "shown_order",
        "shown_id",
        "attempts",
        "provider",
    ]
    list_display_links = ["shown_type", "shown_id"]
    list_filter = [
        StatusFilter,
        ProviderFilter,
        TypeFilter,
        "received_at",
        CauseFilter,
        ConflictFilter,
    ]
    sortable_by = ["age"]
    list_per_page = 50
    list_max_show_all = 50
    show_full_result_count = False
    show_facets = None
    paginator = BoundedPaginator
    search_fields = ["order_id"]
    ordering = ["-id"]
    change_list_template = "admin/payment_webhooks/event/change_list.html"
    # Django has a list around the links above the events, unfold has none.
    tool_tag = "li" if ModelAdmin is admin.ModelAdmin else "div"
    trouble = ["shown_status", "whole_error", "cause"]
    identity = [
        ("shown_type", "shown_money"),
        ("shown_order", "shown_payment"),
        ("provider", "shown_id", "others"),
        "links",
    ]
    times = [
        ("shown_occurred_at", "shown_received_at", "shown_waiting_since"),
        ("shown_due_at", "shown_finished_at", "attempts"),
    ]
    proof = ["verified_by", "dedup_key", "idempotency_key"]
    payloads = ["shown_confirmation", "shown_payload"]
    fieldsets: Any = [
        (None, {"fields": [*trouble, "operations", *identity]}),
        (
            _("What happened"),
            {"fields": ["conflicts", "traceback", "timeline", "order_timeline"]},
        ),
        (_("Times"), {"fields": times}),
        (_("Proof"), {"fields": [*proof, *payloads]}),
    ]

    class Media:
        css = {"all": ["payment_webhooks/admin.css"]}

    shown_order = show_field("order_id")
    shown_payment = show_field("payment_id")
    shown_occurred_at = show_field("occurred_at", show_moment)
    shown_received_at = show_field("received_at", show_moment)
    shown_waiting_since = show_field("waiting_since", show_seconds)
    shown_due_at = show_field("due_at", show_seconds)
    shown_finished_at = show_field("finished_at", show_moment)

    # ---- who may do what

    def has_add_permission(self, request):
        """Refuse: an event comes from its provider."""
        return False

    def has_delete_permission(self, request, obj=None):
        """Refuse: a deleted event could be stored again, and applied again."""
        return False

    def may_view(self, request, event=None):
        """Return whether the user may look at events: before Django 2.1 who may change them."""
        may: Any = getattr(self, "has_view_permission", self.has_change_permission)
        return may(request, event)

    def save_model(self, request, obj, form, change):
        """Save nothing: the row, as it was when the page was opened, would undo a worker's work."""

    def get_actions(self, request, action_location=None):
        """Return the actions that the user may choose. Django 6.1 asks for those of a place."""
        place = {"action_location": action_location} if action_location else {}
        found = super().get_actions(request, **place)
        for name, permission in self.needed.items():
            if name in found and not permissions.may(request.user, permission):
                del found[name]
        return found

    def lookup_allowed(self, lookup, value, request=None):
        """Allow what the list's own filters ask for: others can read a value letter by letter."""
        # PostgreSQL has no NUL. Some Djangos give all values of a lookup.
        return lookup in self.list_lookups() and "\0" not in "".join(value)

    def list_lookups(self):
        """Return the names that the filters have in addresses."""
        names = {"_facets"}  # of Django 5.0 and later; earlier ones go back to the list
        for each in self.list_filter:
            if isinstance(each, str):
                names |= {f"{each}__{kind}" for kind in ("exact", "gte", "lt", "isnull")}
            else:
                names.add(each.parameter_name)
        return names

    # ---- the list

    def get_queryset(self, request):
        """Return all events, without their bodies: fifty of them can be fifty megabytes."""
        found = super().get_queryset(request).defer("body", "confirmation")
        if not history.is_installed():
            return found
        opened = history.list_open("event_id").filter(event_id=OuterRef("pk"))
        return found.annotate(has_conflict=Exists(opened))

    def get_changelist(self, request, **kwargs):
        """Return the class of the list."""
        return read_by_index(super().get_changelist(request, **kwargs))

    def get_paginator(self, request, *args, **kwargs):
        """Return what divides the list into pages, and counts as far as the page that is shown."""
        paginator = super().get_paginator(request, *args, **kwargs)
        paginator.page_shown = read_page(request.GET.get("p", ""))
        return paginator

    def get_search_results(self, request, queryset, search_term):
        """Find events by their exact id, their order's or their payment's."""
        term = search_term.strip()
        return queryset.filter(pk__in=search(term)) if term else queryset, False

    def changelist_view(self, request, extra_context=None):
        """Show the list, the overview, or the causes.

        Those have no address of their own: the form of addresses differs between Djangos.
        """
        if "overview" in request.GET and self.may_view(request):
            hours = read_hours(request.GET["overview"])
            context = read_context(hours, "refresh" in request.GET)
            return self.show(request, "overview", gettext("Overview"), **context)
        if "causes" in request.GET and self.may_view(request):
            return self.causes_view(request)
        title = capfirst(self.opts.verbose_name_plural)
        context = {"title": title, "as_of": timezone.now(), **(extra_context or {})}
        answer = super().changelist_view(request, context)
        shown = getattr(answer, "context_data", {}).get("cl")
        prepare(event for event in (shown.result_list if shown else ()) if event.error)
        return answer

    def age(self, event):
        """Return how long ago the event was received."""
        return timesince(event.received_at)

    age.admin_order_field = "id"
    age.short_description = _("age")

    def shown_status(self, event):
        """Return the status, in its colour, and what else is up with the event."""
        badges = [(event.status, find_label(event.status))]
        if is_retrying(event):
            badges.append(("retried", find_label("retrying")))
        if getattr(event, "has_conflict", False):
            badges.append(("conflicted", gettext("conflict")))
        return format_html_join(" ", '<span class="pw-status pw-{}">{}</span>', badges)

    shown_status.short_description = _("status")

    def shown_error(self, event):
        """Return the beginning of the error."""
        return show_errors(event, MAX_ERROR)

    shown_error.short_description = _("error")

    def whole_error(self, event):
        """Return the error, without what is to be redacted, and what is wrong with the provider."""
        return show_errors(event)

    whole_error.short_description = _("error")

    def shown_id(self, event):
        """Return the provider's id of the event; of an unparsed one, when it came."""
        return reveal(event.provider_event_id) if event.type else name_event(event)

    shown_id.short_description = _("provider event id")

    def shown_type(self, event):
        """Return the type."""
        return reveal(event.type) or gettext("unparsed")

    shown_type.short_description = _("type")

    def others(self, event):
        """Return the other ids that it names, such as its refund's: they can be searched for."""
        ids = redact(read_other_ids(event), list_known(event))
        return ", ".join(f"{name}: {reveal(value)}" for name, value in ids.items())

    others.short_description = _("other ids")

    def links(self, event):
        """Return links to the payment in the provider's dashboard, and to the event as JSON."""
        links = [("?json=1", gettext("Download as JSON"))]
        address = find_dashboard(event)
        if address:
            links.insert(0, (address, gettext("The payment in the provider's dashboard")))
        return format_html_join(" · ", '<a href="{}" class="pw-anchor">{}</a>', links)

    links.short_description = _("links")

    # ---- one event

    def get_fieldsets(self, request, obj=None):
        """Return what is shown: operations for those who may do them, payloads on request."""
        offered = self.get_actions(request).keys() & self.needed.keys()
        operations = ["operations"] if offered else []
        fields = [*self.trouble, *operations, *self.identity]
        if obj is not None:
            obj.offered = offered
        proof = self.proof
        if permissions.may(request.user, permissions.VIEW_PAYLOAD):
            proof = [*proof, *(self.payloads if self.shows_payload(request) else ["payload_link"])]
        first = (None, {"fields": fields})
        return [first, *self.fieldsets[1:-1], (_("Proof"), {"fields": proof})]

    def get_readonly_fields(self, request, obj=None):
        """Return all fields."""
        return [*flatten_fieldsets(self.fieldsets), "payload_link"]

    def change_view(self, request, object_id, form_url="", extra_context=None):
        """Show one event, without the buttons that would save nothing, or download it."""
        event = self.get_object(request, unquote(object_id)) if "json" in request.GET else None
        if event is not None:
            return self.download(request, event, request.GET["json"] == "whole")
        buttons = {"show_save": False, "show_save_and_continue": False}
        context = {**(extra_context or {}), **buttons}
        return super().change_view(request, object_id, form_url, context)

    def render_change_form(self, request, context, *args, **kwargs):
        """Name the event in the reader's language, where Django would call it by ``str``.

        Its payload is shown on request. Here it is known of which event: an address can write the
        same key in several ways.
        """
        if self.shows_payload(request):
            self.record_look(request, context["original"])
        original = NamedEvent(context["original"])
        # Django's own title says that it is changed.
        context.update(original=original, title=str(original), subtitle=None)
        return super().render_change_form(request, context, *args, **kwargs)

    def shows_payload(self, request):
        """Return whether a page shows its event's payload."""
        is_asked = "payload" in request.GET
        return is_asked and permissions.may(request.user, permissions.VIEW_PAYLOAD)

    def record_look(self, request, event, message="Looked at the payload."):
        """Write down who looks at an event's payload, or downloads it."""
        LogEntry.objects.create(
            user_id=request.user.pk,
            content_type_id=get_content_type_for_model(event).pk,
            object_id=str(event.pk),
            object_repr=str(event)[:200],
            action_flag=CHANGE,
            change_message=message,
        )
        history.write_look(event, request.user.get_username())

    def payload_link(self, event):
        """Return the links that show the payload, and that download all of it."""
        links = [
            ("?payload=1", gettext("Show the payload (this is recorded)")),
            ("?json=whole", gettext("Download it with personal data (this is recorded)")),
        ]
        return format_html_join(" · ", '<a href="{}" class="pw-anchor">{}</a>', links)

    payload_link.short_description = _("payload")

    def shown_money(self, event):
        """Return the sum that the event is about, or why it can't be read."""
        try:
            return str(event.money) if event.money else ""
        except Exception as error:
            # Whatever its provider's own class raises.
            text = gettext("It can't be read: {error}.")
            shown = text.format(error=show_about(event, str(error)))
            return find_loading_problem(event.provider) or shown

    shown_money.short_description = _("money")

    def shown_payload(self, event):
        """Return the payload for reading, or what was received if it can't be parsed."""
        try:
            return show_json(read_sent(event), event)
        except Exception:
            return show_raw(event.body, event)

    shown_payload.short_description = _("payload")

    def shown_confirmation(self, event):
        """Return what the provider answered about the event, or that it is still to be asked."""
        if event.confirmation is None:
            return ""
        if not event.confirmation:
            return gettext("The provider has not been asked yet.")
        try:
            return show_json(event.payload, event)
        except Exception:
            return show_raw(event.confirmation, event)

    shown_confirmation.short_description = _("confirmed by the provider")

    def conflicts(self, event):
        """Return what contradicts the event, value by value, and who has closed that."""
        found = [(each, show_changes(each, event)) for each in history.read_conflicts(event)]
        if not found:
            return ""
        context = {
            "conflicts": found,
            "change_view": self.view_name("change"),
            "address": reverse(self.view_name("changelist")),
            "can_close": "close_conflicts" in event.offered
            and any(each.closed_at is None for each, _ in found),
        }
        return render_to_string("payment_webhooks/conflicts.html", context)

    conflicts.short_description = _("conflicts")

    def timeline(self, event):
        """Return what happened to the event, as a table."""
        folds = fold_steps(read_timeline(event))
        context = {"folds": folds, "change_view": self.view_name("change")}
        return render_to_string("payment_webhooks/timeline.html", context)

    timeline.short_description = _("timeline")

    def order_timeline(self, event):
        """Return what happened to all events of the event's order, as a drawing."""
        folds = fold_steps(read_order_timeline(event))
        drawing = draw_timeline(folds, event)
        context = {"drawing": drawing, "folds": folds, "change_view": self.view_name("change")}
        return render_to_string("payment_webhooks/order_timeline.html", context)

    order_timeline.short_description = _("the order's events")

    def operations(self, event):
        """Return the buttons of what can be done with the event.

        They send this page's form to the list's actions.
        """
        context = {
            "event": event,
            "address": reverse(self.view_name("changelist")),
            "can_replay": is_replayable(event) and "replay_events" in event.offered,
            "can_resolve": event.status in RESOLVABLE and "resolve_events" in event.offered,
            "can_run_dry": "dry_run_events" in event.offered,
        }
        return render_to_string("payment_webhooks/operations.html", context)

    operations.short_description = _("operations")

    # ---- pages of its own

    def view_name(self, view):
        """Return the name of a view in this admin's own site, which need not be the default one."""
        return f"{self.admin_site.name}:payment_webhooks_event_{view}"

    def show(self, request, template, title, **context):
        """Return a page of this admin's."""
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.model._meta,
            "media": self.media,
            "change_view": self.view_name("change"),
            **context,
        }
        return TemplateResponse(request, f"admin/payment_webhooks/event/{template}.html", context)


# Each event is an operation of its own: were a request one transaction, none of its events would be
# done if one met a deadlock.
EventAdmin.changelist_view._non_atomic_requests = set(connections)
