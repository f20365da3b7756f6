"""The admin: read events, and replay them."""

import json

from django.contrib import admin, messages
from django.utils.html import format_html

from .conf import settings
from .contrib.replay import replay
from .exceptions import ParseError
from .models import Event, digest


@admin.register(Event)
class EventAdmin(admin.ModelAdmin):
    """Events are facts: nobody adds, changes or deletes one here. Whoever may change events may replay them."""

    list_display = ["provider_event_id", "type", "order_id", "provider", "status", "attempts", "received_at", "error"]
    list_filter = ["status", "provider", "type"]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["order_id"]
    ordering = ["-id"]
    actions = ["replay_events"]
    fieldsets = [
        (None, {"fields": ["provider", "provider_event_id", "type", "order_id", "status", "error"]}),
        ("Journey", {"fields": ["occurred_at", "received_at", "attempts", "due_at", "waiting_since", "finished_at"]}),
        ("Proof", {"fields": ["verified_by", "dedup_key", "idempotency_key", "shown_payload"]}),
    ]

    def get_readonly_fields(self, request, obj=None):
        """Return all fields."""
        return [field for _, options in self.fieldsets for field in options["fields"]]

    def has_add_permission(self, request):
        """Refuse: an event comes from its provider."""
        return False

    def has_delete_permission(self, request, obj=None):
        """Refuse: a deleted event could be stored again, and applied again."""
        return False

    def save_model(self, request, obj, form, change):
        """Save nothing: the whole row, as it was when the page was opened, would overwrite a worker's changes."""

    def get_search_results(self, request, queryset, search_term):
        """Find events by their exact id or their order's; by the keys, which have indexes."""
        term = search_term.strip()
        if not term:
            return queryset, False
        dedup_keys = [digest(provider, term) for provider in settings.PAYMENT_WEBHOOKS_PROVIDERS]
        return queryset.filter(order_key=digest(term)) | queryset.filter(dedup_key__in=dedup_keys), False

    def shown_payload(self, event):
        """Return the payload for reading, or what was received if it can't be parsed."""
        try:
            text = json.dumps(event.payload, indent=2, ensure_ascii=False, default=str)
        except (KeyError, ValueError):
            text = bytes(event.body).decode("utf-8", "backslashreplace")
        text = text.encode("utf-8", "backslashreplace").decode()  # JSON can have half a character, a page can't
        return format_html('<pre style="white-space: pre-wrap; overflow-wrap: anywhere">{}</pre>', text)

    shown_payload.short_description = "payload"

    def replay_events(self, request, queryset):
        """Replay the chosen events, and say what became of them."""
        replayed = refused = 0
        for event in queryset:
            try:
                done = replay(event)
            except ParseError as error:
                self.message_user(request, "%s still can't be parsed. %s" % (event, error), messages.ERROR)
                continue
            if done:
                self.log_change(request, event, "Replayed.")
            replayed, refused = replayed + done, refused + (not done)
        if replayed:
            self.message_user(request, "%d events are due again." % replayed, messages.SUCCESS)
        if refused:
            text = "%d events were left as they are: only failed, ignored and waiting events can be replayed."
            self.message_user(request, text % refused, messages.WARNING)

    replay_events.short_description = "Replay the selected events"
    replay_events.allowed_permissions = ("change",)
