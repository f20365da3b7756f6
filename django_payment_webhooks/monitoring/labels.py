"""The names of events, fields, statuses and steps on pages.

The database, the log and the metrics have the code's names. The names of models and fields are not
in the models, where every change would be a migration.
"""

from __future__ import annotations

from django.apps import apps
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from .. import history
from ..models import Event
from ..operations import backfill
from .wording import show_moment

#: The label of each status, and of each verb of the history.
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
    "late": pgettext_lazy("status", "waiting for long"),
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
    "waiting_since": _("waiting since"),
    "due_at": _("due at"),
    "finished_at": _("finished at"),
    "idempotency_key": _("idempotency key"),
    "error": _("error"),
}
# The name of each app, and of its models in singular and plural.
APPS = {
    Event._meta.app_label: (_("Payment webhooks"), {"event": (_("event"), _("events"))}),
    history.APP_LABEL: (
        _("History of payment webhooks"),
        {
            "entry": (pgettext_lazy("history", "entry"), pgettext_lazy("history", "entries")),
            "conflict": (_("conflict"), _("conflicts")),
            "cause": (_("cause"), _("causes")),
            "rejection": (_("rejection"), _("rejections")),
            "sweep": (_("sweep"), _("sweeps")),
            "countedhour": (_("counted hour"), _("counted hours")),
            "auditrecord": (_("audit record"), _("audit records")),
        },
    ),
    backfill.APP_LABEL: (_("Backfills of payment webhooks"), {"run": (_("run"), _("runs"))}),
}


def find_label(name: str) -> str:
    """Return the label of a status or a verb in the reader's language."""
    return str(LABELS.get(name, name))


def name_event(event: Event) -> str:
    """Return an event's name for a page. An unparsed event has only its time.

    The core's own ``str`` is for logs, and in English.
    """
    if event.type:
        return str(event)
    received = show_moment(event.received_at)
    return str(gettext("unparsed event, received {time}").format(time=received))


def name_all() -> None:
    """Set the names of the apps, their models and the event's fields."""
    for label, (title, models) in APPS.items():
        app = apps.app_configs.get(label)
        if app is None:  # it is optional
            continue
        app.verbose_name = title
        for name, (one, many) in models.items():
            options = app.get_model(name)._meta
            options.verbose_name, options.verbose_name_plural = one, many
    for name, text in FIELDS.items():
        Event._meta.get_field(name).verbose_name = text
