"""Who looked at a payload, and who erased what: a list that nobody can change."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.utils.translation import gettext_lazy as _

from .. import history
from ..providers.escaping import reveal

NAMES = {
    "at": _("time"),
    "by": _("by"),
    "verb": _("what"),
    "number": _("events"),
    "reason": _("reason"),
}


class AuditRecordAdmin(admin.ModelAdmin):
    """A list for those who may see it, by Django's own permission; the newest first."""

    list_display = ["at", "by", "verb", "number", "shown_subject", "reason"]
    list_display_links = None
    list_per_page = 100
    show_full_result_count = False
    actions = None
    ordering = ["-id"]

    def has_module_permission(self, request):
        """Return whether the index has it: not while no history is kept."""
        return history.is_installed() and super().has_module_permission(request)

    def has_add_permission(self, request):
        """Refuse: what was done is written down by what does it."""
        return False

    def has_delete_permission(self, request, obj=None):
        """Refuse: it is to outlast what it is about."""
        return False

    def has_change_permission(self, request, obj=None):
        """Refuse, but for those Djangos whose lists are for those who may change what is in them.

        Nothing can be changed there either: the list has no links.
        """
        if obj is not None or hasattr(admin.ModelAdmin, "has_view_permission"):
            return False
        return super().has_change_permission(request, obj)

    def shown_subject(self, record):
        """Return to what it was done."""
        return reveal(record.subject)

    shown_subject.short_description = _("subject")


def register_audit(site: AdminSite) -> None:
    """Let an admin site have the list, where a history is kept.

    The default site has it. Call it for a site of your own in which you register ``Event``.
    """
    if not history.is_installed():
        return
    model = history.find_rows("AuditRecord").model
    name_all(model)
    site.register(model, AuditRecordAdmin)


def name_all(model: Any) -> None:
    """Give the records their names in the reader's language: in the model each is a migration."""
    apps.get_app_config(history.APP_LABEL).verbose_name = _("History of payment webhooks")
    model._meta.verbose_name = _("audit record")
    model._meta.verbose_name_plural = _("audit records")
    for name, text in NAMES.items():
        model._meta.get_field(name).verbose_name = text


register_audit(admin.site)
