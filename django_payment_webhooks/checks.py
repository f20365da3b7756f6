"""System checks: mistakes in the settings are found before the first webhook.

None of them touches the database.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from typing import Any, Iterator

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
from .providers.contents import list_placeholders
from .providers.fields import compile_field
from .providers.signatures import DECODERS

PREFIX = "payment_webhooks."
SECRETS_HINT = (
    "Set SECRETS to a list of secrets of 16 bytes or more, and read them from the environment."
)
# Seconds, which can have fractions. Some are there only if the module is loaded that needs them.
TIMES = [
    "BACKOFF_BASE",
    "BACKOFF_CEILING",
    "HEALTH_DUE_AGE",
    "HEALTH_SWEEP_AGE",
    "LEASE",
    "PUBLISH_PAUSE",
    "REJECTIONS_INTERVAL",
    "SWEEP_CEILING",
    "SWEEP_GRACE",
    "TASK_TIME",
    "WAIT_DEADLINE",
]
COUNTS = [
    "MAX_ATTEMPTS",
    "MAX_BODY_SIZE",
    "MAX_EVENTS",
    "MAX_JSON_DEPTH",
    "MAX_JSON_VALUES",
    "MESSAGE_SIZE",
    "SWEEP_BATCH",
]
# The settings that name a class which the core loads, and what it calls there.
PLUGINS = {
    "PUBLISHER": ("publish",),
    "RETRY_POLICY": ("run", "insert", "call", "call_guarded", "find_key", "record"),
}
HOOKS = {"idempotency_key", "is_ready", "prepare", "apply", "deliver"}


@receiver(setting_changed, dispatch_uid="payment_webhooks.forget_providers")
def forget_providers(setting: str, **_: Any) -> None:
    """Make the providers anew after a test has changed the settings."""
    if setting == "PAYMENT_WEBHOOKS_PROVIDERS":
        get_provider.cache_clear()


# ---- providers


@register(Tags.security)
def check_providers(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Check that every provider can be loaded and has good secrets."""
    providers = settings.PAYMENT_WEBHOOKS_PROVIDERS
    if not isinstance(providers, dict) or not providers:
        text = "PAYMENT_WEBHOOKS_PROVIDERS names no provider."
        hint = 'Set it to {"default": {"SECRETS": [...]}}, with the secrets from the environment.'
        return [Error(text, hint=hint, id=PREFIX + "E001")]
    return [message for name in providers for message in check_provider(name)]


def check_provider(name: str) -> Iterator[CheckMessage]:
    """Check one provider."""
    try:
        provider = get_provider(name)
    except Exception as error:
        text = f"The provider {name!r} can't be loaded: {error}"
        hint = "Look at its BACKEND, which is the dotted path of a class, and at its options."
        yield Error(text, hint=hint, id=PREFIX + "E002")
        return
    if not isinstance(provider, Provider):
        hint = "Derive its BACKEND from django_payment_webhooks.providers.Provider."
        yield Error(f"The provider {name!r} is not a Provider.", hint=hint, id=PREFIX + "E003")
        return
    if provider.has_secrets:
        yield from check_secrets(provider)
    if provider.verifies_by_options:
        yield from check_scheme(provider)
        yield from check_headers(provider)


def check_secrets(provider: Provider) -> Iterator[CheckMessage]:
    """Check the secrets of a provider."""
    name = repr(provider.name)
    if not isinstance(provider.secrets, (list, tuple)) or not any(provider.secrets):
        text = f"The provider {name} has no secret: all its webhooks are refused."
        yield Error(text, hint=SECRETS_HINT, id=PREFIX + "E004")
        return
    if provider.key_encoding in DECODERS and len(provider.keys()) < len(provider.secrets):
        bad = "is blank, shorter than 16 bytes, or not encoded as it says"
        text = f"The provider {name} has a secret that {bad}."
        yield Error(text, hint=SECRETS_HINT, id=PREFIX + "E005")
    if settings.SECRET_KEY in provider.secrets:
        danger = "whoever can sign webhooks could forge sessions"
        text = f"The provider {name} has SECRET_KEY as a secret: {danger}."
        hint = "Ask the provider for a secret of its own."
        yield Error(text, hint=hint, id=PREFIX + "E006")


def check_scheme(provider: Provider) -> Iterator[CheckMessage]:
    """Check what a provider says about its signatures."""
    known = {
        "KEY_ENCODING": provider.key_encoding in DECODERS,
        "SIGNATURE_ENCODING": provider.signature_encoding in ("hex", "base64"),
        "DIGEST": provider.digest in hashlib.algorithms_available,
        "TOLERANCE": is_positive(provider.tolerance),
    }
    for option in [option for option, is_known in known.items() if not is_known]:
        value = getattr(provider, option.lower())
        text = f"{option} of the provider {provider.name!r} is {value!r}."
        hint = (
            "KEY_ENCODING is text, hex or base64; SIGNATURE_ENCODING is hex or base64; DIGEST is "
            "a name that hashlib knows; TOLERANCE is a number of seconds."
        )
        yield Error(text, hint=hint, id=PREFIX + "E012")
    options = ("SIGNATURE_PATTERN", "TIMESTAMP_PATTERN")
    given = {option: getattr(provider, option.lower()) for option in options}
    patterns = {option: pattern for option, pattern in given.items() if pattern != ""}
    for option in [option for option, pattern in patterns.items() if count_groups(pattern) != 1]:
        wrong = "is not a regular expression with one group"
        text = f"{option} of the provider {provider.name!r} {wrong}."
        hint = (
            "Put what it is to find, and nothing else, into parentheses; others can start with (?:."
        )
        yield Error(text, hint=hint, id=PREFIX + "E010")


def check_headers(provider: Provider) -> Iterator[CheckMessage]:
    """Check that no field of a provider comes from a header which it does not sign."""
    signed = {name.rpartition(":")[2].lower() for name in list_placeholders(provider.content)}
    for field, reference in provider.fields.items():
        for path in compile_field(reference, provider.object_path).paths():
            kind, _, header = path.partition(":")
            if kind != "header" or header.lower() in signed:
                continue
            source = f"from the header {header}, which nobody signed"
            text = f"The provider {provider.name!r} takes {field} {source}."
            hint = (
                "Whoever has seen one webhook could send it again as another. Take it from the "
                "body if you can."
            )
            yield Warning(text, hint=hint, id=PREFIX + "W003")


def count_groups(pattern: Any) -> int:
    """Return how many groups a regular expression has, -1 if it is none."""
    try:
        return re.compile(pattern).groups
    except (TypeError, re.error):
        return -1


# ---- handlers


@register()
def check_handlers(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Check that every handler can be loaded, is complete, and can be called."""
    handlers = settings.PAYMENT_WEBHOOKS_HANDLERS
    if not isinstance(handlers, dict):
        text = "PAYMENT_WEBHOOKS_HANDLERS is not a dictionary."
        hint = (
            'Set it to {"charge.succeeded": "shop.handlers.MarkOrderPaid"}, your types and classes.'
        )
        return [Error(text, hint=hint, id=PREFIX + "E013")]
    return [message for each in handlers for message in check_handler(each, handlers[each])]


def check_handler(event_type: str, path: str) -> Iterator[CheckMessage]:
    """Check one handler."""
    name = f"The handler of {event_type!r}"
    try:
        handler = import_string(path)
    except Exception as error:
        hint = "Set it to the dotted path of a class."
        yield Error(f"{name} can't be imported: {error}", hint=hint, id=PREFIX + "E007")
        return
    name = f"{name}, {path},"
    if not inspect.isclass(handler) or not issubclass(handler, Handler):
        hint = "Derive it from django_payment_webhooks.handlers.Handler."
        yield Error(f"{name} is not a Handler.", hint=hint, id=PREFIX + "E008")
        return
    if inspect.isabstract(handler):
        missing = ", ".join(sorted(handler.__abstractmethods__))
        yield Error(f"{name} is abstract.", hint=f"Write its {missing}.", id=PREFIX + "E009")
        return
    yield from check_methods(name, handler)
    yield from check_requires(name, handler)
    yield from check_databases(name, handler)


def check_methods(name: str, handler: type[Handler]) -> Iterator[CheckMessage]:
    """Check that calling a handler's methods does something."""
    # What a class between this one and Handler wants to be written is called as well.
    inherited = [getattr(parent, "__abstractmethods__", ()) for parent in handler.__mro__]
    for method in sorted(HOOKS.union(*inherited)):
        if is_plain(getattr(handler, method, None)):
            continue
        text = f"{name} has a method {method}() that is async or a generator: it would do nothing."
        hint = "Write a plain function: def without async, and without yield."
        yield Error(text, hint=hint, id=PREFIX + "E017")


def is_plain(function: Any) -> bool:
    """Return whether calling a function runs its body."""
    unwrapped = inspect.unwrap(function) if callable(function) else function
    return not (
        inspect.iscoroutinefunction(unwrapped)
        or inspect.isgeneratorfunction(unwrapped)
        or inspect.isasyncgenfunction(unwrapped)
    )


def check_requires(name: str, handler: type[Handler]) -> Iterator[CheckMessage]:
    """Check that what a handler requires can come."""
    requires: Any = handler.requires
    if isinstance(requires, property):
        return  # only an instance knows it
    is_sequence = isinstance(requires, (list, tuple, set, frozenset))
    if not is_sequence or not all(isinstance(each, str) for each in requires):
        text = f"{name} requires {requires!r}, which is no sequence of types."
        hint = 'Write a tuple, with its comma: requires = ("charge.succeeded",).'
        yield Error(text, hint=hint, id=PREFIX + "E018")
        return
    if handler.is_ready is not Handler.is_ready:
        return  # it has a rule of its own
    missing = sorted(set(requires) - set(settings.PAYMENT_WEBHOOKS_HANDLERS))
    if missing:
        # An event without a handler is ignored, whatever its provider calls it.
        text = f"{name} requires {', '.join(missing)}, which has no handler: it would wait in vain."
        hint = "Add that type to PAYMENT_WEBHOOKS_HANDLERS, or correct the name in requires."
        yield Error(text, hint=hint, id=PREFIX + "E019")


def check_databases(name: str, handler: type[Handler]) -> Iterator[CheckMessage]:
    """Check that a handler's models and the events are in one database, as far as routers say."""
    app = apps.get_containing_app_config(handler.__module__)
    models = list(app.get_models()) if app else []
    databases = {router.db_for_write(model) for model in models}
    events = router.db_for_write(Event)
    if not models or events in databases:
        return
    others = ", ".join(sorted(databases))
    text = f"{name} belongs to an app whose models are in {others}; the events are in {events}."
    hint = (
        "Effects and events are committed together, so they must be in one database: change "
        "DATABASE_ROUTERS."
    )
    yield Warning(text, hint=hint, id=PREFIX + "W005")


# ---- other settings


@register()
def check_numbers(app_configs: Any, **_: Any) -> Iterator[CheckMessage]:
    """Check that sizes, times and limits are positive numbers."""
    for name in [*TIMES, *COUNTS, "SWEEP_INTERVAL"]:
        value = getattr(settings, f"PAYMENT_WEBHOOKS_{name}", 1)
        if is_positive(value) and (name not in COUNTS or isinstance(value, int)):
            continue
        if name == "SWEEP_INTERVAL" and not value:
            continue  # W001 is for that
        kind = "whole number" if name in COUNTS else "number"
        text = f"PAYMENT_WEBHOOKS_{name} is {value!r}, not a positive {kind}."
        yield Error(text, hint="Times are in seconds.", id=PREFIX + "E011")


def is_positive(value: Any) -> bool:
    """Return whether something is a number above zero."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


@register()
def check_plugins(app_configs: Any, **_: Any) -> Iterator[CheckMessage]:
    """Check that the classes which the core loads can be loaded, and have what it calls."""
    for name, methods in PLUGINS.items():
        path = getattr(settings, f"PAYMENT_WEBHOOKS_{name}")
        hint = f"Set it to the dotted path of a class with {', '.join(methods)}."
        try:
            plugin = import_string(path)
        except Exception as error:
            text = f"PAYMENT_WEBHOOKS_{name} can't be imported: {error}"
            yield Error(text, hint=hint, id=PREFIX + "E016")
            continue
        missing = [method for method in methods if not callable(getattr(plugin, method, None))]
        if not inspect.isclass(plugin) or missing:
            text = f"PAYMENT_WEBHOOKS_{name} is {path}, which is no such class."
            yield Error(text, hint=hint, id=PREFIX + "E016")


@register()
def check_redaction(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Check that the names of the fields to redact are a list of names."""
    names = getattr(settings, "PAYMENT_WEBHOOKS_REDACTED_FIELDS", [])
    is_list = isinstance(names, (list, tuple, set, frozenset))
    if is_list and all(isinstance(name, str) for name in names):
        return []
    text = "PAYMENT_WEBHOOKS_REDACTED_FIELDS is not a list of names."
    hint = 'Set it to a list such as ["email", "card_number"]; to [] if everybody may see all.'
    return [Error(text, hint=hint, id=PREFIX + "E014")]


@register()
def check_history(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Check that the history has its configuration: Django before 3.2 does not find it."""
    app = apps.get_containing_app_config(history.__name__)
    if app is None or app.name != history.__name__ or app.label == "payment_webhooks_history":
        return []
    label = repr(app.label)
    text = f"The history is installed as {label}, without its configuration: it writes nothing."
    hint = f'In INSTALLED_APPS write "{history.__name__}.apps.HistoryConfig".'
    return [Error(text, hint=hint, id=PREFIX + "E015")]


# ---- what runs


@register()
def check_sweeper(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Check that something sweeps."""
    tasks = [entry.get("task") for entry in current_app.conf.beat_schedule.values()]
    if settings.PAYMENT_WEBHOOKS_SWEEP_INTERVAL or "payment_webhooks.sweep_events" in tasks:
        return []
    text = (
        "Nothing sweeps: an event whose message is lost, or whose attempt failed, is never looked "
        "at again."
    )
    hint = (
        "Set PAYMENT_WEBHOOKS_SWEEP_INTERVAL, put the task payment_webhooks.sweep_events into the "
        "beat schedule, or run the command sweep_payment_webhooks from cron and silence this "
        "warning."
    )
    return [Warning(text, hint=hint, id=PREFIX + "W001")]


@register()
def check_celery(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Check that the project's Celery app is loaded. Celery makes up one of this name otherwise."""
    if current_app.main != "default":
        return []
    text = (
        "The project's Celery app is not loaded: messages go to a broker on this machine, and no "
        "worker takes them."
    )
    hint = "Import it in the __init__.py beside settings.py: from .celery import app as celery_app."
    return [Warning(text, hint=hint, id=PREFIX + "W004")]


@register()
def check_database(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Check that the events' database can lock rows."""
    if connections[router.db_for_write(Event)].features.has_select_for_update:
        return []
    text = (
        "The events' database can't lock single rows: workers take turns, one transaction at a "
        "time."
    )
    hint = "Good for development and small shops. Use PostgreSQL, MySQL or MariaDB for more."
    return [Warning(text, hint=hint, id=PREFIX + "W002")]
