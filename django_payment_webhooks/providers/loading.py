"""Whether a provider can be loaded: a deleted entry or a wrong option must stop nothing else."""

from __future__ import annotations

from ..conf import get_provider, settings


def find_loading_problem(name: str) -> str:
    """Return in a sentence why a provider can't be loaded; "" if it can. Never raises."""
    if name not in settings.PAYMENT_WEBHOOKS_PROVIDERS:
        return f"Provider {name} can't be loaded: PAYMENT_WEBHOOKS_PROVIDERS has no such entry."
    try:
        get_provider(name)
    except Exception as error:
        return (
            f"Provider {name} can't be loaded: {type(error).__name__}: {error}. Fix it in "
            f"PAYMENT_WEBHOOKS_PROVIDERS."
        )
    return ""
