"""The admin: see what became of the events, understand why, and mend it."""

import json
from collections import namedtuple
from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Max
from django.http import HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.module_loading import import_string
from django.utils.timesince import timesince

from .. import history
from ..conf import settings
from ..models import Event, digest
from ..monitoring.overview import read_overview, tell_time
from ..operations.dry_run import dry_run
from ..operations.replay import REPLAYABLE, RESOLVABLE, replay, resolve
from ..providers.payloads import ParseError
from .drawing import draw_hours, draw_timeline
from .redaction import redact
from .timeline import read_order_timeline, read_timeline

UNFOLD = "unfold.admin.ModelAdmin"
ModelAdmin: Any = import_string(UNFOLD) if apps.is_installed("unfold") else admin.ModelAdmin

MAX_COUNT = 1000
MAX_FOUND = 500
MAX_DRY_RUN = 20
MAX_TOLD = 5
BATCH = 200

#: What an operator can do with many events: ``run(event, by, reason)`` returns whether it was possible.
Operation = namedtuple("Operation", "title question statuses needs_reason run done left note")

REPLAY = Operation(
    "Replay",
    "They are due again, with all their attempts. No effect happens twice.",
    REPLAYABLE,
    False,
    replay,
    "%d events are due again.",
    "%d events were left as they are: only failed, ignored and waiting events can be replayed.",
    "Replayed",
)
RESOLVE = Operation(
    "Mark as handled by hand",
    "Somebody had their effect by hand, outside this app. They end as processed, no event has their effect again, and "
    "events that wait for them go on.",
    RESOLVABLE,
    True,
    resolve,
    "%d events are marked as handled by hand.",
    "%d events were left as they are: they are processed, or a worker has just changed them.",
    "Handled by hand",
)


def told(seconds):
    """Return a time in words, None if there is none."""
    return None if seconds is None else tell_time(seconds)


class BoundedPaginator(Paginator):
    """Counts no further than it must: of ten million events nobody reads the last page."""

    @cached_property
    def count(self):
        """Return how many there are, at most so many as are shown at all."""
        return self.object_list.order_by()[:MAX_COUNT].count()


class ChoiceFilter(admin.SimpleListFilter):
    """A filter whose choices come from the settings: to ask the table for them would read all of it."""

    def lookups(self, request, model_admin):
        """Return the choices."""
        return [(name, name or "unparsed") for name in self.names()]

    def queryset(self, request, queryset):
        """Return the events that have the choice."""
        return (
            queryset
            if self.value() is None
            else queryset.filter(**{self.parameter_name: self.value()})
        )


class ProviderFilter(ChoiceFilter):
    """The configured providers."""

    title = parameter_name = "provider"

    def names(self):
        """Return the names."""
        return sorted(settings.PAYMENT_WEBHOOKS_PROVIDERS)


class TypeFilter(ChoiceFilter):
    """The types that have a handler, and what could not be parsed."""

    title = parameter_name = "type"

    def names(self):
        """Return the names."""
        return [*sorted(settings.PAYMENT_WEBHOOKS_HANDLERS), ""]


class OperationForm(forms.Form):
    """The reason of an operation, and how far it has come: an operation on many events is a series of requests."""

    reason = forms.CharField(
        max_length=200, required=False, widget=forms.TextInput(attrs={"size": 60})
    )
    after = forms.IntegerField(widget=forms.HiddenInput)
    until = forms.IntegerField(widget=forms.HiddenInput)
    total = forms.IntegerField(widget=forms.HiddenInput)
    done = forms.IntegerField(widget=forms.HiddenInput)
    left = forms.IntegerField(widget=forms.HiddenInput)
    unparsed = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, operation, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = operation.needs_reason


@admin.register(Event)
class EventAdmin(ModelAdmin):
    """Events are facts: nobody adds, changes or deletes one here. Whoever may change events may replay them."""

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
    list_filter = ["status", ProviderFilter, TypeFilter, "received_at"]
    list_per_page = 50
    list_max_show_all = 50
    show_full_result_count = False
    show_facets = None
    paginator = BoundedPaginator
    search_fields = ["order_id"]
    ordering = ["-id"]
    actions = ["replay_events", "resolve_events", "dry_run_events"]
    change_list_template = "admin/payment_webhooks/event/change_list.html"
    fieldsets: Any = [
        (
            None,
            {
                "fields": [
                    ("provider", "provider_event_id"),
                    ("type", "order_id"),
                    "shown_status",
                    "error",
                    "operations",
                ]
            },
        ),
        ("What happened", {"fields": ["timeline", "order_timeline"]}),
        (
            "Times",
            {
                "fields": [
                    ("occurred_at", "received_at", "waiting_since"),
                    ("due_at", "finished_at", "attempts"),
                ]
            },
        ),
        ("Proof", {"fields": ["verified_by", "dedup_key", "idempotency_key", "shown_payload"]}),
    ]

    class Media:
        css = {"all": ["payment_webhooks/admin.css"]}

    # ---- what is shown

    def get_queryset(self, request):
        """Return all events, without their bodies: fifty of them can be fifty megabytes."""
        return super().get_queryset(request).defer("body")

    def get_fieldsets(self, request, obj=None):
        """Return what is shown, with the operations for those who may do them."""
        fieldsets = [
            (title, dict(options, fields=list(options["fields"])))
            for title, options in self.fieldsets
        ]
        if not self.has_change_permission(request, obj):
            fieldsets[0][1]["fields"].remove("operations")
        return fieldsets

    def get_readonly_fields(self, request, obj=None):
        """Return all fields."""
        return flatten_fieldsets(self.fieldsets)

    def has_add_permission(self, request):
        """Refuse: an event comes from its provider."""
        return False

    def has_delete_permission(self, request, obj=None):
        """Refuse: a deleted event could be stored again, and applied again."""
        return False

    def save_model(self, request, obj, form, change):
        """Save nothing: the whole row, as it was when the page was opened, would overwrite a worker's changes."""

    def change_view(self, request, object_id, form_url="", extra_context=None):
        """Show one event, without the buttons that would save nothing."""
        buttons = {"show_save": False, "show_save_and_continue": False}
        return super().change_view(
            request, object_id, form_url, dict(extra_context or {}, **buttons)
        )

    def changelist_view(self, request, extra_context=None):
        """Show the list, or the overview. That has no address of its own, whose form differs between Djangos."""
        may_view: Any = getattr(self, "has_view_permission", self.has_change_permission)
        if "overview" in request.GET and may_view(request):
            return self.show_overview(request)
        return super().changelist_view(request, extra_context)

    def get_search_results(self, request, queryset, search_term):
        """Find events by their exact id or their order's; by the keys, which have indexes."""
        term = search_term.strip()
        if not term:
            return queryset, False
        dedup_keys = [digest(provider, term) for provider in settings.PAYMENT_WEBHOOKS_PROVIDERS]
        # Two questions, and then the primary keys: asked in one, a database may walk the whole
        # table in their order.
        found = list(Event.objects.filter(dedup_key__in=dedup_keys).values_list("pk", flat=True))
        found += (
            Event.objects.filter(order_key=digest(term))
            .values_list("pk", flat=True)
            .order_by("-pk")[:MAX_FOUND]
        )
        return queryset.filter(pk__in=found), False

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
        return event.error if len(event.error) <= 100 else event.error[:99] + "…"

    shown_error.short_description = "error"

    def shown_payload(self, event):
        """Return the payload for reading, or what was received if it can't be parsed."""
        try:
            text = json.dumps(redact(event.payload), indent=2, ensure_ascii=False, default=str)
        except (KeyError, ValueError):
            text = bytes(event.body).decode("utf-8", "backslashreplace")
        text = text.encode(
            "utf-8", "backslashreplace"
        ).decode()  # JSON can have half a character, a page can't
        return format_html('<pre class="pw-text">{}</pre>', text)

    shown_payload.short_description = "payload"

    def timeline(self, event):
        """Return what happened to the event, as a table."""
        return render_to_string("payment_webhooks/timeline.html", {"steps": read_timeline(event)})

    def order_timeline(self, event):
        """Return what happened to all events of the event's order, as a drawing."""
        drawing = draw_timeline(read_order_timeline(event), event)
        return render_to_string("payment_webhooks/order_timeline.html", {"drawing": drawing})

    order_timeline.short_description = "the order's events"

    def operations(self, event):
        """Return the buttons of what can be done with the event: they send this page's form to the list's actions."""
        address = reverse("%s:payment_webhooks_event_changelist" % self.admin_site.name)
        possible = {"replay": event.status in REPLAYABLE, "resolve": event.status in RESOLVABLE}
        context = {"event": event, "address": address, "possible": possible}
        return render_to_string("payment_webhooks/operations.html", context)

    def show_overview(self, request):
        """Show how all events are, and what is wrong."""
        hours = request.GET["overview"]
        hours = min(max(int(hours), 1), 168) if hours.isdecimal() and len(hours) < 4 else 24
        overview = read_overview(hours)
        statuses = [
            (status, facts, told(facts["oldest_seconds"]))
            for status, facts in overview["statuses"].items()
        ]
        providers = [
            (name, told(seconds)) for name, seconds in sorted(overview["providers"].items())
        ]
        context = {
            "statuses": statuses,
            "providers": providers,
            "sweeper": told(overview["sweeper"]),
        }
        context["due"] = told(overview["due"]["oldest_seconds"] or None)
        context["has_history"] = apps.is_installed(history.__name__)
        plot = draw_hours(overview["hours"])
        choices = [6, 24, 72, 168]
        return self.show(
            request,
            "overview",
            "Overview",
            overview=overview,
            plot=plot,
            choices=choices,
            **context,
        )

    def show(self, request, template, title, **context):
        """Return a page of this admin's."""
        context = dict(
            self.admin_site.each_context(request),
            title=title,
            opts=self.model._meta,
            media=self.media,
            **context,
        )
        return TemplateResponse(request, "admin/payment_webhooks/event/%s.html" % template, context)

    # ---- what can be done

    def replay_events(self, request, queryset):
        """Replay the chosen events."""
        return self.operate(request, queryset, REPLAY)

    replay_events.short_description = "Replay the selected events"
    replay_events.allowed_permissions = ("change",)

    def resolve_events(self, request, queryset):
        """Mark the chosen events as handled by hand."""
        return self.operate(request, queryset, RESOLVE)

    resolve_events.short_description = "Mark the selected events as handled by hand"
    resolve_events.allowed_permissions = ("change",)

    def dry_run_events(self, request, queryset):
        """Show what would become of the chosen events, by a dry run of each."""
        events = queryset.order_by("pk")[: MAX_DRY_RUN + 1]
        dry_runs = [(event, dry_run(event)) for event in events[:MAX_DRY_RUN]]
        is_cut = len(events) > MAX_DRY_RUN
        return self.show(
            request,
            "dry_run",
            "Dry run",
            dry_runs=dry_runs,
            is_cut=is_cut,
            most=MAX_DRY_RUN,
        )

    dry_run_events.short_description = "Dry run of the selected events"
    dry_run_events.allowed_permissions = ("change",)

    def operate(self, request, queryset, operation):
        """Ask for confirmation; then do what was confirmed, a batch in each request, and tell what became of it."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        chosen = queryset.filter(status__in=operation.statuses)
        form = OperationForm(operation, request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            return self.ask(request, queryset, chosen, operation, form)
        progress = dict(form.cleaned_data)
        batch = chosen.filter(pk__gt=progress["after"], pk__lte=progress["until"]).order_by("pk")[
            :BATCH
        ]
        for event in batch:
            progress[self.operate_on(request, event, operation, progress)] += 1
            progress["after"] = event.pk
        if len(batch) == BATCH:
            form = OperationForm(operation, progress)
            return self.show(
                request,
                "progress",
                operation.title,
                form=form,
                progress=progress,
                **self.read_choice(request),
            )
        return self.tell(request, operation, progress)

    def ask(self, request, queryset, chosen, operation, form):
        """Show what is about to be done, and ask for the reason."""
        total = chosen.count()
        last = chosen.aggregate(last=Max("pk"))["last"] or 0
        across = request.POST.get("select_across") == "1"
        left = 0 if across else queryset.count() - total
        if not form.is_bound:
            initial = {
                "after": 0,
                "until": last,
                "total": total,
                "done": 0,
                "left": left,
                "unparsed": 0,
            }
            form = OperationForm(operation, initial=initial)
        facts = {
            "operation": operation,
            "total": total,
            "left": left,
            "form": form,
            "events": chosen.order_by("pk")[:10],
        }
        return self.show(
            request, "confirmation", operation.title, **dict(facts, **self.read_choice(request))
        )

    def read_choice(self, request):
        """Return what a form must repeat, for the same events to be chosen by it."""
        names = ("action", "select_across", "from_event")
        values = {name: request.POST.get(name, "") for name in names}
        return {
            "choice": dict(values, index=0),
            "selected": request.POST.getlist(admin.helpers.ACTION_CHECKBOX_NAME),
        }

    def operate_on(self, request, event, operation, progress):
        """Do it with one event, and write it down. Returns as what it counts: done, left or unparsed."""
        reason = progress["reason"]
        try:
            is_done = operation.run(event, by=request.user.get_username(), reason=reason)
        except ParseError as error:
            if progress["unparsed"] < MAX_TOLD:
                self.message_user(
                    request, "%s still can't be parsed. %s" % (event, error), messages.ERROR
                )
            return "unparsed"
        if not is_done:
            return "left"
        self.log_change(
            request, event, "%s: %s" % (operation.note, reason) if reason else operation.note + "."
        )
        return "done"

    def tell(self, request, operation, progress):
        """Tell what was done, and return to where it was asked for."""
        if progress["done"]:
            self.message_user(request, operation.done % progress["done"], messages.SUCCESS)
        if progress["left"]:
            self.message_user(request, operation.left % progress["left"], messages.WARNING)
        if progress["unparsed"] > MAX_TOLD:
            text = "%d events in all still can't be parsed." % progress["unparsed"]
            self.message_user(request, text, messages.ERROR)
        origin = request.POST.get("from_event", "")
        if not origin.isdecimal():
            return HttpResponseRedirect(request.get_full_path())
        return HttpResponseRedirect(
            reverse("%s:payment_webhooks_event_change" % self.admin_site.name, args=[origin])
        )
