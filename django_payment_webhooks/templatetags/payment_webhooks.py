"""Filters for the admin's templates."""

from __future__ import annotations

from django import template, urls
from django.templatetags.static import static
from django.utils.html import format_html

from ..models import Event
from ..monitoring.labels import find_label, name_event

register = template.Library()


@register.filter
def label(name: str) -> str:
    """Return what a status, or a verb of the history, is called in the reader's language."""
    return find_label(name)


@register.filter
def event_name(event: Event) -> str:
    """Return what an event is called in the reader's language."""
    return name_event(event)


@register.simple_tag
def fit_phone() -> str:
    """Make an old Django's page fit a phone."""
    # Django does so since 2.0, the first that has this.
    if hasattr(urls, "path"):
        return ""
    return format_html(
        '<meta name="viewport" content="width=device-width, initial-scale=1.0">'
        '<link rel="stylesheet" href="{}">',
        static("payment_webhooks/old.css"),
    )
