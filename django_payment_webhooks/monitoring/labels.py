"""What events, their fields, their statuses and the steps of their history are called on pages.

Stored, logged and counted they are as the code has them. The names of fields are not in the model,
where each change of one, and each language, would be a migration.
"""

from __future__ import annotations

from django.apps import apps
from django.utils import dateformat
from django.utils.timezone import template_localtime
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from ..models import Event

#: What a status, or a verb of the history, is called.
LABELS = {
    Event.RECEIVED: pgettext_lazy("status", "received"),
    Event.WAITING: pgettext_lazy("status", "waiting"),
    Event.APPLIED: pgettext_lazy("status", "applied"),
    Event.PROCESSED: pgettext_lazy("status", "processed"),
    Event.DUPLICATE: pgettext_lazy("status", "duplicate"),
    Event.IGNORED: pgettext_lazy("status", "ignored"),
    Event.FAILED: pgettext_lazy("status", "failed"),
    "retrying": pgettext_lazy("status", "retrying"),
    "conflicted": pgettext_lazy("status", "conflicted"),
    "released": pgettext_lazy("status", "released"),
    "retried": pgettext_lazy("status", "retried"),
    "replayed": pgettext_lazy("status", "replayed"),
    "lost": pgettext_lazy("status", "lost"),
    "taken": pgettext_lazy("status", "taken"),
    "due": pgettext_lazy("status", "due"),
}
FIELDS = {
    "provider": _("provider"),
    "provider_event_id": _("provider event id"),
    "dedup_key": _("dedup key"),
    "type": _("type"),
    "order_id": _("order id"),
    "payment_id": _("payment id"),
    "occurred_at": _("occurred at"),
    "received_at": _("received at"),
    "verified_by": _("verified by"),
    "status": _("status"),
    "attempts": _("attempts"),
    "finished_at": _("finished at"),
    "idempotency_key": _("idempotency key"),
    "error": _("error"),
}


def find_label(name: str) -> str:
    """Return what a status or a verb is called in the reader's language."""
    return str(LABELS.get(name, name))


def name_event(event: Event) -> str:
    """Return what an event is called on a page. One that was not parsed has no name but its time.

    The core's own ``str`` is for logs, and in English.
    """
    if event.type:
        return str(event)
    received = dateformat.format(template_localtime(event.received_at), "Y-m-d H:i:s T")
    return str(gettext("unparsed event, received {time}").format(time=received))


def name_all() -> None:
    """Give the app, the event and its fields their names."""
    apps.get_app_config(Event._meta.app_label).verbose_name = _("Payment webhooks")
    Event._meta.verbose_name = _("event")
    Event._meta.verbose_name_plural = _("events")
    for name, text in FIELDS.items():
        Event._meta.get_field(name).verbose_name = text
