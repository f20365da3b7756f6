"""Finds out whether a provider loads: a deleted or wrong entry must stop nothing else."""

from __future__ import annotations

from django.utils.translation import gettext

from ..conf import get_provider, settings


def find_loading_problem(name: str) -> str:
    """Return a sentence that says why a provider can't be loaded, or "" if it can. Never raises.

    It is in the active language: to store it, deactivate translations.
    """
    if name not in settings.PAYMENT_WEBHOOKS_PROVIDERS:
        text = gettext(
            "Provider {name} can't be loaded: PAYMENT_WEBHOOKS_PROVIDERS has no such entry."
        )
        return str(text.format(name=name))
    try:
        get_provider(name)
    except Exception as error:
        text = gettext(
            "Provider {name} can't be loaded: {error}. Fix it in PAYMENT_WEBHOOKS_PROVIDERS."
        )
        return str(text.format(name=name, error=f"{type(error).__name__}: {error}".rstrip(".")))
    return ""
