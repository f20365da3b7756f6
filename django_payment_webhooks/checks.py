"""System checks: mistakes in the settings are found before the first webhook. None of them touches the database."""

import hashlib
import inspect
import re
from typing import Any, Iterator, List

from celery import current_app
from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.signals import setting_changed
from django.db import connections, router
from django.dispatch import receiver
from django.utils.module_loading import import_string

from . import history
from .conf import get_provider, settings
from .handlers import Handler
from .models import Event
from .providers import Provider
from .providers.signatures import DECODERS

PREFIX = "payment_webhooks."
SECRETS_HINT = (
    "Set SECRETS to a list of secrets of 16 bytes or more, and read them from the environment."
)


@receiver(setting_changed, dispatch_uid="payment_webhooks.forget_providers")
def forget_providers(setting: str, **_: Any) -> None:
    """Make the providers anew after a test has changed the settings."""
    if setting == "PAYMENT_WEBHOOKS_PROVIDERS":
        get_provider.cache_clear()


@register(Tags.security)
def check_providers(app_configs: Any, **_: Any) -> List[CheckMessage]:
    """Check that every provider can be loaded and has good secrets."""
    providers = settings.PAYMENT_WEBHOOKS_PROVIDERS
    if not isinstance(providers, dict) or not providers:
        hint = 'Set it to {"default": {"SECRETS": [...]}}, with the secrets from the environment.'
        return [
            Error("PAYMENT_WEBHOOKS_PROVIDERS names no provider.", hint=hint, id=PREFIX + "E001")
        ]
    return [message for name in providers for message in check_provider(name)]


def check_provider(name: str) -> List[CheckMessage]:
    """Check one provider."""
    try:
        provider = get_provider(name)
    except Exception as error:
        hint = "Look at its BACKEND, which is the dotted path of a class, and at its options."
        return [
            Error(
                "The provider %r can't be loaded: %s" % (name, error), hint=hint, id=PREFIX + "E002"
            )
        ]
    if not isinstance(provider, Provider):
        hint = "Derive its BACKEND from django_payment_webhooks.providers.Provider."
        return [Error("The provider %r is not a Provider." % name, hint=hint, id=PREFIX + "E003")]
    if not isinstance(provider.secrets, (list, tuple)) or not any(provider.secrets):
        text = "The provider %r has no secret: all its webhooks are refused." % name
        return [Error(text, hint=SECRETS_HINT, id=PREFIX + "E004")]
    return [*check_scheme(provider), *check_secrets(provider), *check_fields(provider)]


def check_scheme(provider: Provider) -> Iterator[CheckMessage]:
    """Check what a provider says of its signatures."""
    known = {
        "KEY_ENCODING": provider.key_encoding in DECODERS,
        "SIGNATURE_ENCODING": provider.signature_encoding in ("hex", "base64"),
        "DIGEST": provider.digest in hashlib.algorithms_available,
        "TOLERANCE": is_positive(provider.tolerance),
    }
    for option, is_known in known.items():
        if not is_known:
            text = "%s of the provider %r is %r." % (
                option,
                provider.name,
                getattr(provider, option.lower()),
            )
            hint = "KEY_ENCODING is text, hex or base64; SIGNATURE_ENCODING is hex or base64; DIGEST is a name that "
            hint += "hashlib knows; TOLERANCE is a number of seconds."
            yield Error(text, hint=hint, id=PREFIX + "E012")
    patterns = {"SIGNATURE_PATTERN": provider.signature_pattern or None}
    if provider.timestamp_pattern:
        patterns["TIMESTAMP_PATTERN"] = provider.timestamp_pattern
    for option, pattern in patterns.items():
        if count_groups(pattern) != 1:
            text = "%s of the provider %r is not a regular expression with one group." % (
                option,
                provider.name,
            )
            hint = "Put what it is to find, and nothing else, into parentheses; others can start with (?:."
            yield Error(text, hint=hint, id=PREFIX + "E010")


def check_secrets(provider: Provider) -> Iterator[CheckMessage]:
    """Check the secrets of a provider that has some."""
    if provider.key_encoding in DECODERS and len(provider.keys()) < len(provider.secrets):
        name = provider.name
        text = (
            "The provider %r has a secret that is blank, shorter than 16 bytes, or not encoded as it says."
            % name
        )
        yield Error(text, hint=SECRETS_HINT, id=PREFIX + "E005")
    if settings.SECRET_KEY in provider.secrets:
        text = "The provider %r has SECRET_KEY as a secret: whoever can sign webhooks could forge sessions."
        hint = "Ask the provider for a secret of its own."
        yield Error(text % provider.name, hint=hint, id=PREFIX + "E006")


def check_fields(provider: Provider) -> Iterator[CheckMessage]:
    """Check where a provider's fields come from."""
    for field, path in provider.fields.items():
        if path.startswith("header:") and "{%s}" % path[7:].lower() not in provider.content.lower():
            text = "The provider %r takes %s from the header %s, which nobody signed."
            hint = "Whoever has seen one webhook could send it again as another. Take it from the body if you can."
            yield Warning(text % (provider.name, field, path[7:]), hint=hint, id=PREFIX + "W003")


def count_groups(pattern: Any) -> int:
    """Return how many groups a regular expression has, -1 if it is none."""
    try:
        return re.compile(pattern).groups
    except (TypeError, re.error):
        return -1


@register()
def check_numbers(app_configs: Any, **_: Any) -> List[CheckMessage]:
    """Check that sizes, times and limits are positive numbers."""
    names = [
        "MAX_BODY_SIZE",
        "PUBLISH_PAUSE",
        "SWEEP_GRACE",
        "SWEEP_CEILING",
        "LEASE",
        "WAIT_DEADLINE",
    ]
    names += [
        "MAX_ATTEMPTS",
        "BACKOFF_BASE",
        "BACKOFF_CEILING",
        "SWEEP_BATCH",
        "HEALTH_DUE_AGE",
        "HEALTH_SWEEP_AGE",
    ]
    names += ["REJECTIONS_INTERVAL"]
    # The last four are there only if the module is loaded that they belong to.
    values = {
        "PAYMENT_WEBHOOKS_" + name: getattr(settings, "PAYMENT_WEBHOOKS_" + name, 1)
        for name in names
    }
    return [
        Error(
            "%s is %r, not a positive number." % (name, value),
            hint="Times are in seconds.",
            id=PREFIX + "E011",
        )
        for name, value in values.items()
        if not is_positive(value)
    ]


def is_positive(value: Any) -> bool:
    """Return whether something is a number above zero."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


@register()
def check_redaction(app_configs: Any, **_: Any) -> List[CheckMessage]:
    """Check that the names of the fields to redact are a list of names."""
    names = getattr(settings, "PAYMENT_WEBHOOKS_REDACTED_FIELDS", [])
    if isinstance(names, (list, tuple, set, frozenset)) and all(
        isinstance(name, str) for name in names
    ):
        return []
    hint = (
        'Set it to a list such as ["email", "card_number"]; to [] if everybody may see everything.'
    )
    text = "PAYMENT_WEBHOOKS_REDACTED_FIELDS is not a list of names."
    return [Error(text, hint=hint, id=PREFIX + "E014")]


@register()
def check_history(app_configs: Any, **_: Any) -> List[CheckMessage]:
    """Check that the history is installed by its configuration: Django before 3.2 does not find that by itself."""
    app = apps.get_containing_app_config(history.__name__)
    if app is None or app.name != history.__name__ or app.label == "payment_webhooks_history":
        return []
    text = (
        "The history is installed as %r, without its configuration: it writes nothing." % app.label
    )
    hint = 'In INSTALLED_APPS write "%s.apps.HistoryConfig".' % history.__name__
    return [Error(text, hint=hint, id=PREFIX + "E015")]


@register()
def check_handlers(app_configs: Any, **_: Any) -> List[CheckMessage]:
    """Check that every handler can be loaded and is complete."""
    handlers = settings.PAYMENT_WEBHOOKS_HANDLERS
    if not isinstance(handlers, dict):
        hint = 'Set it to {"charge.succeeded": "shop.handlers.MarkOrderPaid"}, with your types and your classes.'
        return [
            Error("PAYMENT_WEBHOOKS_HANDLERS is not a dictionary.", hint=hint, id=PREFIX + "E013")
        ]
    return [
        message
        for event_type, path in handlers.items()
        for message in check_handler(event_type, path)
    ]


def check_handler(event_type: str, path: str) -> List[CheckMessage]:
    """Check one handler."""
    try:
        handler = import_string(path)
    except Exception as error:
        hint = "Set it to the dotted path of a class."
        text = "The handler of %r can't be imported: %s" % (event_type, error)
        return [Error(text, hint=hint, id=PREFIX + "E007")]
    if not inspect.isclass(handler) or not issubclass(handler, Handler):
        hint = "Derive it from django_payment_webhooks.handlers.Handler."
        return [
            Error(
                "The handler of %r, %s, is not a Handler." % (event_type, path),
                hint=hint,
                id=PREFIX + "E008",
            )
        ]
    if inspect.isabstract(handler):
        missing = ", ".join(sorted(handler.__abstractmethods__))
        text = "The handler of %r, %s, is abstract." % (event_type, path)
        return [Error(text, hint="Write its %s." % missing, id=PREFIX + "E009")]
    return []


@register()
def check_sweeper(app_configs: Any, **_: Any) -> List[CheckMessage]:
    """Check that something sweeps."""
    schedule = current_app.conf.beat_schedule.values()
    in_workers = "django_payment_webhooks.sweeper" in settings.PAYMENT_WEBHOOKS_EXTENSIONS
    if in_workers and settings.PAYMENT_WEBHOOKS_SWEEP_INTERVAL:
        return []
    if any(entry.get("task") == "payment_webhooks.sweep_events" for entry in schedule):
        return []
    text = "Nothing sweeps: an event whose message is lost, or whose attempt failed, is never looked at again."
    hint = (
        "Set PAYMENT_WEBHOOKS_SWEEP_INTERVAL, put the task payment_webhooks.sweep_events into the beat schedule, "
        "or run the command sweep_payment_webhooks from cron and silence this warning."
    )
    return [Warning(text, hint=hint, id=PREFIX + "W001")]


@register()
def check_celery(app_configs: Any, **_: Any) -> List[CheckMessage]:
    """Check that the project's Celery app is loaded. Celery makes up one of this name otherwise."""
    if current_app.main != "default":
        return []
    text = "The project's Celery app is not loaded: messages go to a broker on this machine, and nobody takes them."
    hint = "Import it in the __init__.py beside settings.py: from .celery import app as celery_app."
    return [Warning(text, hint=hint, id=PREFIX + "W004")]


@register()
def check_database(app_configs: Any, **_: Any) -> List[CheckMessage]:
    """Check that the events' database can lock rows."""
    if connections[router.db_for_write(Event)].features.has_select_for_update:
        return []
    text = "The events' database can't lock single rows: workers take turns, one transaction at a time."
    hint = "Good for development and small shops. Use PostgreSQL, MySQL or MariaDB for more."
    return [Warning(text, hint=hint, id=PREFIX + "W002")]
