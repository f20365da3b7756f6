"""The overview and the causes in the admin's index, beside the events.

The index lists what is registered. So two stand-ins for models are: they have no table, no
permissions and no migration, and lead to pages of the events' admin.
"""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from ..models import Event


class EntryOptions:
    """What the admin asks of a model's ``_meta`` to list it."""

    app_label = Event._meta.app_label
    abstract = swapped = is_composite_pk = False

    def __init__(self, name: str, title: Any, query: str) -> None:
        self.object_name = name
        self.model_name = name.lower()
        self.verbose_name = self.verbose_name_plural = title
        self.query = query

    @property
    def app_config(self) -> Any:
        """The app that it is listed with."""
        return apps.get_app_config(self.app_label)


class Overview:
    """Stands for the overview."""

    _meta = EntryOptions("Overview", _("Overview"), "overview=24")


class Causes:
    """Stands for the causes."""

    _meta = EntryOptions("Causes", _("Causes"), "causes=1")


class EntryAdmin(admin.ModelAdmin):
    """An entry of the index for whoever may look at events. Its one page leads on."""

    def check(self, **kwargs: Any) -> list[Any]:
        """Return no errors: there are no fields that could be wrong."""
        return []

    def get_urls(self) -> list[Any]:
        """Return the address that the index links to."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_changelist"
        return [address for address in super().get_urls() if address.name == name]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Lead to the page, which asks itself who may see it."""
        events = f"{self.admin_site.name}:payment_webhooks_event_changelist"
        return HttpResponseRedirect(f"{reverse(events)}?{self.opts.query}")

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        """Return that it can be viewed, by whoever can view events in this site."""
        events = self.admin_site._registry.get(Event)
        known = events.get_model_perms(request) if events else {}
        may_view = known.get("view", known.get("change", False))
        # Django 1.11 has no permission to view, and links what can be changed.
        return {"add": False, "change": may_view and "view" not in known, "view": may_view}


def register_entries(site: AdminSite) -> None:
    """Add the overview and the causes to an admin site's index.

    The default site has them. Call this for a site of your own in which you register ``Event``.
    """
    entries: Any = [Overview, Causes]
    site.register(entries, EntryAdmin)


register_entries(admin.site)
