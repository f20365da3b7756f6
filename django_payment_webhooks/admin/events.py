"""The events in the admin: a list, and a page for each."""

from __future__ import annotations

import json
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.module_loading import import_string
from django.utils.timesince import timesince

from ..history.timeline import find_moment, read_order_timeline, read_timeline
from ..models import Event
from ..operations.replay import REPLAYABLE
from ..operations.resolve import RESOLVABLE
from ..providers.confirmed import read_sent
from ..redaction import redact
from .actions import OperationsMixin
from .causes import CauseFilter, CausesMixin, StatusFilter
from .drawing import draw_timeline
from .filters import BoundedPaginator, ProviderFilter, TypeFilter, search
from .overview import read_context, read_hours

UNFOLD = "unfold.admin.ModelAdmin"
ModelAdmin: Any = import_string(UNFOLD) if apps.is_installed("unfold") else admin.ModelAdmin

MAX_ERROR = 100


def show_json(payload):
    """Return a payload for reading, without what is to be redacted."""
    return show_text(json.dumps(redact(payload), indent=2, ensure_ascii=False, default=str))


def show_text(text):
    """Return a text for a page, as it is written."""
    # JSON can have half a character, a page can't.
    text = text.encode("utf-8", "backslashreplace").decode()
    return format_html('<pre class="pw-text">{}</pre>', text)


@admin.register(Event)
class EventAdmin(CausesMixin, OperationsMixin, ModelAdmin):
    """Events are facts: nobody adds, changes or deletes one here.

    Whoever may change events may replay and resolve them.
    """

    list_display = [
        "provider_event_id",
        "shown_status",
        "type",
        "order_id",
        "age",
        "attempts",
        "provider",
        "shown_error",
    ]
    list_filter = [StatusFilter, ProviderFilter, TypeFilter, "received_at", CauseFilter]
    list_per_page = 50
    list_max_show_all = 50
    show_full_result_count = False
    show_facets = None
    paginator = BoundedPaginator
    search_fields = ["order_id"]
    ordering = ["-id"]
    change_list_template = "admin/payment_webhooks/event/change_list.html"
    identity = [
        ("provider", "provider_event_id"),
        ("type", "order_id"),
        ("shown_money", "payment_id"),
        "shown_status",
        "error",
    ]
    times = [
        ("occurred_at", "received_at", "shown_waiting_since"),
        ("shown_due_at", "finished_at", "attempts"),
    ]
    proof = ["verified_by", "dedup_key", "idempotency_key", "shown_confirmation", "shown_payload"]
    fieldsets: Any = [
        (None, {"fields": [*identity, "operations"]}),
        ("What happened", {"fields": ["cause", "traceback", "timeline", "order_timeline"]}),
        ("Times", {"fields": times}),
        ("Proof", {"fields": proof}),
    ]

    class Media:
        css = {"all": ["payment_webhooks/admin.css"]}

    # ---- who may do what

    def has_add_permission(self, request):
        """Refuse: an event comes from its provider."""
        return False

    def has_delete_permission(self, request, obj=None):
        """Refuse: a deleted event could be stored again, and applied again."""
        return False

    def save_model(self, request, obj, form, change):
        """Save nothing: the row, as it was when the page was opened, would undo a worker's work."""

    # ---- the list

    def get_queryset(self, request):
        """Return all events, without their bodies: fifty of them can be fifty megabytes."""
        return super().get_queryset(request).defer("body", "confirmation")

    def get_search_results(self, request, queryset, search_term):
        """Find events by their exact id, their order's or their payment's."""
        term = search_term.strip()
        return queryset.filter(pk__in=search(term)) if term else queryset, False

    def changelist_view(self, request, extra_context=None):
        """Show the list, the overview, or the causes.

        Those have no address of their own: the form of addresses differs between Djangos.
        """
        may_view: Any = getattr(self, "has_view_permission", self.has_change_permission)
        if "overview" in request.GET and may_view(request):
            hours = read_hours(request.GET["overview"])
            return self.show(request, "overview", "Overview", **read_context(hours))
        if "causes" in request.GET and may_view(request):
            return self.causes_view(request)
        return super().changelist_view(request, extra_context)

    def age(self, event):
        """Return how long ago the event was received."""
        return timesince(event.received_at)

    age.admin_order_field = "id"

    def shown_status(self, event):
        """Return the status, in its colour."""
        return format_html('<span class="pw-status pw-{0}">{0}</span>', event.status)

    shown_status.short_description = "status"

    def shown_error(self, event):
        """Return the beginning of the error."""
        if len(event.error) <= MAX_ERROR:
            return event.error
        return f"{event.error[: MAX_ERROR - 1]}…"

    shown_error.short_description = "error"

    # ---- one event

    def get_fieldsets(self, request, obj=None):
        """Return what is shown, with the operations for those who may do them."""
        if self.has_change_permission(request, obj):
            return self.fieldsets
        return [(None, {"fields": self.identity}), *self.fieldsets[1:]]

    def get_readonly_fields(self, request, obj=None):
        """Return all fields."""
        return flatten_fieldsets(self.fieldsets)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        """Show one event, without the buttons that would save nothing."""
        buttons = {"show_save": False, "show_save_and_continue": False}
        context = {**(extra_context or {}), **buttons}
        return super().change_view(request, object_id, form_url, context)

    def shown_waiting_since(self, event):
        """Return since when it waits."""
        return find_moment(event.waiting_since) if event.waiting_since else None

    shown_waiting_since.short_description = "waiting since"

    def shown_due_at(self, event):
        """Return when a worker may take it."""
        return find_moment(event.due_at) if event.due_at else None

    shown_due_at.short_description = "due at"

    def shown_money(self, event):
        """Return the sum that the event is about, or why it can't be read."""
        try:
            return str(event.money) if event.money else None
        except (KeyError, ValueError) as error:
            return f"It can't be read: {error}."

    shown_money.short_description = "money"

    def shown_payload(self, event):
        """Return the payload for reading, or what was received if it can't be parsed."""
        try:
            return show_json(read_sent(event))
        except (KeyError, ValueError):
            return show_text(bytes(event.body).decode("utf-8", "backslashreplace"))

    shown_payload.short_description = "payload"

    def shown_confirmation(self, event):
        """Return what the provider answered about the event, or that it is still to be asked."""
        if event.confirmation is None:
            return None
        if not event.confirmation:
            return "The provider is still to be asked."
        try:
            return show_json(event.payload)
        except (KeyError, ValueError):
            return show_text(bytes(event.confirmation).decode("utf-8", "backslashreplace"))

    shown_confirmation.short_description = "confirmed by the provider"

    def timeline(self, event):
        """Return what happened to the event, as a table."""
        context = {"steps": read_timeline(event), "change_view": self.view_name("change")}
        return render_to_string("payment_webhooks/timeline.html", context)

    def order_timeline(self, event):
        """Return what happened to all events of the event's order, as a drawing."""
        drawing = draw_timeline(read_order_timeline(event), event)
        context = {"drawing": drawing, "change_view": self.view_name("change")}
        return render_to_string("payment_webhooks/order_timeline.html", context)

    order_timeline.short_description = "the order's events"

    def operations(self, event):
        """Return the buttons of what can be done with the event.

        They send this page's form to the list's actions.
        """
        context = {
            "event": event,
            "address": reverse(self.view_name("changelist")),
            "can_replay": event.status in REPLAYABLE,
            "can_resolve": event.status in RESOLVABLE,
        }
        return render_to_string("payment_webhooks/operations.html", context)

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
