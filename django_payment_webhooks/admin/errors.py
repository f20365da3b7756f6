"""An event's error on a page. What is stored is in English, whatever the reader's language."""

from __future__ import annotations

from django.utils.html import format_html, format_html_join
from django.utils.text import Truncator

from ..models import Event
from ..providers.loading import find_loading_problem
from ..providers.personal import show_about


def read_errors(event: Event) -> list[str]:
    """Return the error, without what is to be hidden, and what is wrong with the provider."""
    texts = [show_about(event, event.error), find_loading_problem(event.provider)]
    return [text for text in texts if text]


def show_errors(event: Event, length: int | None = None) -> str:
    """Return both for a page, each with no more letters than ``length``."""
    texts = [Truncator(text).chars(length) if length else text for text in read_errors(event)]
    # Of a processed event the error is the note of whoever has handled it by hand.
    if event.error and event.status != Event.PROCESSED:
        texts[0] = mark_english(texts[0])
    return format_html_join(" ", "{}", ((text,) for text in texts))


def mark_english(text: str) -> str:
    """Return a text for a page that a screen reader reads as English."""
    return format_html('<span lang="en">{}</span>', text) if text else text
