"""Filters for the admin's templates."""

from __future__ import annotations

from django import template

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
