"""A read-only list of who looked at payloads, and who erased what."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import AdminSite
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from .. import history
from ..monitoring.wording import show_moment
from ..providers.escaping import reveal
from .errors import mark_english

NAMES = {
    "at": _("time"),
    "by": _("by"),
    "verb": _("what"),
    "number": _("events"),
    "reason": _("reason"),
}
# What was done, as it is stored, in the reader's language.
VERBS = {
    "looked at": pgettext_lazy("audit", "looked at"),
    "acknowledged": pgettext_lazy("audit", "acknowledged"),
    "pruned": pgettext_lazy("audit", "pruned"),
    "deleted": pgettext_lazy("audit", "deleted"),
    "erased": pgettext_lazy("audit", "erased"),
}


class AuditRecordAdmin(admin.ModelAdmin):
    """A list for those who may see it, by Django's own permission; the newest first."""

    list_display = ["shown_at", "by", "shown_verb", "number", "shown_subject", "reason"]
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

    def changelist_view(self, request, extra_context=None):
        """Show the list, whose title in Django says that something is chosen to be changed."""
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def shown_at(self, record):
        """Return when it was done."""
        return show_moment(record.at)

    shown_at.admin_order_field = "id"
    shown_at.short_description = NAMES["at"]

    def shown_verb(self, record):
        """Return what was done."""
        return VERBS.get(record.verb, record.verb)

    shown_verb.short_description = NAMES["verb"]

    def shown_subject(self, record):
        """Return to what it was done."""
        return mark_english(reveal(record.subject))

    shown_subject.short_description = _("subject")


def register_audit(site: AdminSite) -> None:
    """Add the list to an admin site, if the history is installed.

    The default site has it. Call this for a site of your own in which you register ``Event``.
    """
    if not history.is_installed():
        return
    model = history.find_rows("AuditRecord").model
    name_fields(model)
    site.register(model, AuditRecordAdmin)


def name_fields(model: Any) -> None:
    """Give the fields their names in the reader's language: in the model each is a migration."""
    for name, text in NAMES.items():
        model._meta.get_field(name).verbose_name = text


register_audit(admin.site)
