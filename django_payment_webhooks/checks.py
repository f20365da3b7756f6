"""System checks, which find mistakes in the settings before the first webhook.

None of them touches the database.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import re
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Iterable, Iterator, Sequence

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
from .operations.backfill.sources import Source
from .providers import Provider, directory
from .providers.addresses import read_networks
from .providers.contents import list_placeholders
from .providers.fields import compile_field, list_globs
from .providers.signatures import DECODERS, ENCODERS, TIMESTAMPS, list_secrets
from .providers.subject import list_providers
from .providers.types import unmark
from .publisher import NO_THREADS, find_limit_faults, lacks_threads, process

PREFIX = "payment_webhooks."
ACCOUNT_HINT = (
    "If they are two endpoints of one account, such as for two versions of its API, give both the"
    " same ACCOUNT: they share the ids of events, and effects. If they are two accounts, give each"
    " an ACCOUNT and a secret of its own. If two shops can have the same order numbers, give each a"
    " SHOP as well; that alone does not keep a webhook of one from the other, and a secret does."
)
# What does not belong in a secret, but comes along when one is copied.
ODD_SECRETS = {
    "begins or ends with white space": r"\A\s|\s\Z",
    "has a line break in it": r"[\r\n]",
    "has quotes around it": r"\A([\"'`]).*\1\Z",
}
# The parts of CONTENT that are the whole body.
BODIES = {"body", "crc32", "body_sha256"}
# The types of options whose defaults do not show them.
TYPES: dict[str, tuple[type, ...]] = {
    "secrets": (),
    "signature_header": (str, list, tuple),
    "answer_body": (str, type(None)),
    "live": (bool, type(None)),
    "signature_pattern": (),
    "timestamp_pattern": (),
}
# In seconds, fractions allowed. Some exist only if the module that needs them is loaded.
TIMES = [
    "BACKOFF_BASE",
    "BACKOFF_CEILING",
    "HEALTH_DUE_AGE",
    "HEALTH_RETRY_AGE",
    "HEALTH_RETRY_CRITICAL_AGE",
    "HEALTH_SWEEP_AGE",
    "HEALTH_UNFINISHED_AGE",
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
# The settings that name a class for the core to load, and the methods it calls.
PLUGINS = {
    "PUBLISHER": ("publish", "flush"),
    "TENANTS": ("current", "enter", "all"),
    "RETRY_POLICY": (
        *("run", "insert", "call", "call_guarded", "find_key", "record"),
        *("find_handler", "prepare", "is_ready", "has_had", "deliver"),
    ),
}
# How similar a mistyped event type is to the right one.
NEAR = 0.9
HOOKS = {"idempotency_key", "is_ready", "prepare", "apply", "deliver"}


@receiver(setting_changed, dispatch_uid="payment_webhooks.forget_providers")
def forget_providers(setting: str, **_: Any) -> None:
    """Rebuild the providers after a test has changed the settings."""
    if setting == "PAYMENT_WEBHOOKS_PROVIDERS":
        get_provider.cache_clear()


# ---- providers


@register(Tags.security)
def check_providers(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Check that every provider can be loaded and has good secrets."""
    providers = settings.PAYMENT_WEBHOOKS_PROVIDERS
    # A directory is also empty until a provider is looked up in it.
    names_some = isinstance(providers, dict) and bool(providers)
    if not names_some and not isinstance(providers, directory.Directory):
        text = "PAYMENT_WEBHOOKS_PROVIDERS names no provider."
        hint = 'Set it to {"default": {"SECRETS": [...]}}, with the secrets from the environment.'
        return [Error(text, hint=hint, id=PREFIX + "E001")]
    messages = [message for name in providers for message in check_provider(name)]
    return [*messages, *check_accounts(list_declared())]


def check_provider(name: Any) -> Iterator[CheckMessage]:
    """Check one provider."""
    try:
        provider = get_provider(name)
    except Exception as error:
        text = f"The provider {name!r} can't be loaded: {error}"
        hint = "Look at its PRESET, or its BACKEND, which is the dotted path of a class, and at"
        yield Error(text, hint=f"{hint} its options.", id=PREFIX + "E002")
        return
    if not isinstance(provider, Provider):
        hint = "Derive its BACKEND from django_payment_webhooks.providers.Provider."
        yield Error(f"The provider {name!r} is not a Provider.", hint=hint, id=PREFIX + "E003")
        return
    wrong = list(check_types(provider))
    if wrong:
        yield from wrong  # the checks below could raise
        return
    yield from check_name(provider)
    if provider.has_secrets:
        yield from check_secrets(provider)
    if provider.verifies_by_options:
        yield from check_scheme(provider)
        yield from check_content(provider)
        yield from check_headers(provider)
    yield from check_confirmation(provider)
    yield from check_addresses(provider)


def list_declared() -> list[Provider]:
    """Return the providers that can be loaded, and whose options say what they do."""
    return [provider for provider in list_providers() if isinstance(provider, Provider)]


def check_types(provider: Provider) -> Iterator[CheckMessage]:
    """Check that each option has the type of its default."""
    for name in sorted(vars(provider)):
        default = getattr(type(provider), name, None)
        allowed = TYPES.get(name, find_types(default))
        value = getattr(provider, name)
        if not allowed or name.startswith("_") or isinstance(value, allowed):
            continue
        wrong = f"{name.upper()} of the provider {provider.name!r} is {value!r}"
        names = " or ".join(sorted({each.__name__ for each in allowed}))
        yield Error(f"{wrong}.", hint=f"It must be of the type {names}.", id=PREFIX + "E012")


def find_types(default: Any) -> tuple[type, ...]:
    """Return the types allowed for an option with this default; none if any will do."""
    if isinstance(default, (list, tuple)):
        return (list, tuple)
    kinds = (str, dict, bool)
    return tuple(kind for kind in kinds if isinstance(default, kind))


def check_name(provider: Provider) -> Iterator[CheckMessage]:
    """Check that a provider's name makes an address, and fits its column."""
    length = Event._meta.get_field("provider").max_length
    if len(provider.name) <= length and re.fullmatch(r"[-\w]+", provider.name):
        return
    text = f"No webhook can come to the provider {provider.name!r}."
    hint = f"Its name is part of the address: letters, digits, - and _, up to {length} of them."
    yield Error(text, hint=hint, id=PREFIX + "E020")


def check_secrets(provider: Provider) -> Iterator[CheckMessage]:
    """Check the secrets of a provider."""
    name = repr(provider.name)
    if provider.secrets and isinstance(provider.secrets, (str, bytes)):
        text = f"SECRETS of the provider {name} is a string, not a list"
        hint = (
            'Put the secret into a list: "SECRETS": [os.environ["..."]]. Several in one variable,'
            ' with commas between them, become a list by os.environ["..."].split(",").'
        )
        yield Error(f"{text}: all its webhooks are refused.", hint=hint, id=PREFIX + "E004")
        return
    if not isinstance(provider.secrets, (list, tuple)) or not any(provider.secrets):
        text = f"The provider {name} has no secret: all its webhooks are refused."
        yield Error(text, hint=find_secrets_hint(provider), id=PREFIX + "E004")
        return
    for number, secret in enumerate(provider.secrets, 1):
        yield from check_secret(provider, number, secret)
    if settings.SECRET_KEY in provider.secrets:
        danger = "anyone who can sign webhooks could forge sessions"
        text = f"The provider {name} has SECRET_KEY as a secret: {danger}."
        hint = "Ask the provider for a secret of its own."
        yield Error(text, hint=hint, id=PREFIX + "E006")


def check_secret(provider: Provider, number: int, secret: Any) -> Iterator[CheckMessage]:
    """Check one secret, without showing any of it."""
    known = provider.key_encoding in DECODERS
    try:
        provider.decode_secret(secret)
    except ValueError as error:
        if known:
            text = f"Secret {number} of the provider {provider.name!r} {error}."
            yield Error(text, hint=find_secrets_hint(provider), id=PREFIX + "E005")
        return
    odd = [what for what, pattern in ODD_SECRETS.items() if re.search(pattern, secret)]
    if odd and not secret.startswith("-----BEGIN"):
        text = f"Secret {number} of the provider {provider.name!r} {odd[0]}."
        hint = "It may have come along when the secret was copied. Compare it with the provider's."
        yield Warning(text, hint=hint, id=PREFIX + "W006")


def find_secrets_hint(provider: Provider) -> str:
    """Return a hint about a provider's secrets."""
    length = f"{provider.min_key_length} bytes or more"
    return f"Set SECRETS to a list of secrets of {length}, and read them from the environment."


def check_scheme(provider: Provider) -> Iterator[CheckMessage]:
    """Check the options of a provider's signatures."""
    known = {
        "KEY_ENCODING": provider.key_encoding in DECODERS,
        "SIGNATURE_ENCODING": provider.signature_encoding in ENCODERS,
        "TIMESTAMP_UNIT": provider.timestamp_unit in TIMESTAMPS,
        "DIGEST": provider.digest in hashlib.algorithms_available,
        "TOLERANCE": provider.tolerance is None or is_positive(provider.tolerance),
    }
    for option in [option for option, is_known in known.items() if not is_known]:
        value = getattr(provider, option.lower())
        text = f"{option} of the provider {provider.name!r} is {value!r}, which is not valid."
        hint = (
            f"KEY_ENCODING is one of {', '.join(DECODERS)}; SIGNATURE_ENCODING of"
            f" {', '.join(ENCODERS)}; TIMESTAMP_UNIT of {', '.join(TIMESTAMPS)}; DIGEST is a name"
            " that hashlib knows; TOLERANCE is a number of seconds, or None."
        )
        yield Error(text, hint=hint, id=PREFIX + "E012")
    yield from check_patterns(provider)


def check_patterns(provider: Provider) -> Iterator[CheckMessage]:
    """Check that a signature and a time can be found."""
    options = ("SIGNATURE_PATTERN", "TIMESTAMP_PATTERN")
    given = {option: getattr(provider, option.lower()) for option in options}
    wrong = [option for option, text in given.items() if text != "" and count_groups(text) != 1]
    if not provider.signature_pattern and "{signature}" not in provider.signature_template:
        wrong.append("SIGNATURE_PATTERN")
    for option in wrong:
        text = f"{option} of the provider {provider.name!r} is not a regular expression with one"
        hint = "Put what it is to find, and nothing else, into parentheses; others can start with"
        yield Error(f"{text} group.", hint=f"{hint} (?:.", id=PREFIX + "E010")


def check_content(provider: Provider) -> Iterator[CheckMessage]:
    """Check that a provider signs the event, and the time that TOLERANCE relies on."""
    names = list_placeholders(provider.content)
    is_signed = any(name in BODIES or name.startswith(("json:", "form:")) for name in names)
    if not is_signed and provider.proof != "token" and not provider.needs_confirmation:
        text = f"CONTENT of the provider {provider.name!r} has no body in it: anybody who has seen"
        text += " one webhook could send another body with it."
        yield Error(text, hint='Write {body} into it: "{timestamp}.{body}".', id=PREFIX + "E021")
    if "url" in names and not provider.url:
        text = f"The provider {provider.name!r} signs the address, and URL does not say it."
        hint = "Set URL to the address exactly as you gave it to the provider."
        yield Error(text, hint=hint, id=PREFIX + "E022")
    has_time = count_groups(provider.derive_timestamp_pattern() or None) == 1
    if has_time and provider.tolerance is not None and "timestamp" not in names:
        text = f"The signing time of the provider {provider.name!r} is not signed: anyone who has"
        text += " seen one webhook could resend it at any time."
        hint = "Write {timestamp} into CONTENT where the provider has it."
        yield Error(text, hint=hint, id=PREFIX + "E023")


def check_headers(provider: Provider) -> Iterator[CheckMessage]:
    """Check that no field of a provider comes from an unsigned header."""
    signed = {name.rpartition(":")[2].lower() for name in list_placeholders(provider.content)}
    if "timestamp" in signed:
        signed.add(provider.timestamp_header.lower())
    for field, reference in provider.fields.items():
        for path in compile_field(reference, provider.object_path).paths():
            kind, _, header = path.partition(":")
            if kind != "header" or header.lower() in signed:
                continue
            source = f"from the header {header}, which is not signed"
            text = f"The provider {provider.name!r} takes {field} {source}."
            hint = (
                "Anyone who has seen one webhook could resend it as another. Take it from the "
                "body if you can."
            )
            yield Warning(text, hint=hint, id=PREFIX + "W003")


def check_confirmation(provider: Provider) -> Iterator[CheckMessage]:
    """Check that a provider whose webhooks prove too little has a CONFIRM function."""
    if not provider.confirm_by:
        if provider.needs_confirmation:
            text = f"Webhooks of the provider {provider.name!r} prove too little to be believed."
            hint = (
                "Set CONFIRM to the dotted path of a function that gets an event, asks the provider"
                " about it, and returns the answer."
            )
            yield Error(text, hint=hint, id=PREFIX + "E024")
        return
    try:
        is_function = callable(import_string(provider.confirm_by))
    except Exception:
        is_function = False
    if not is_function:
        text = f"CONFIRM of the provider {provider.name!r} is {provider.confirm_by!r}, no function."
        hint = "Set it to the dotted path of a function."
        yield Error(text, hint=hint, id=PREFIX + "E024")


def check_addresses(provider: Provider) -> Iterator[CheckMessage]:
    """Check the networks that a provider sends from, and the number of proxies in front."""
    proxies = provider.trusted_proxies
    is_count = proxies is None or (type(proxies) is int and proxies >= 0)
    try:
        read_networks(tuple(provider.addresses))
    except (TypeError, ValueError) as error:
        text = f"ADDRESSES of the provider {provider.name!r}: {error}."
        yield Error(text, hint='They are networks: ["192.0.2.0/24"].', id=PREFIX + "E025")
    if not is_count:
        text = f"TRUSTED_PROXIES of the provider {provider.name!r} is {proxies!r}, not a count."
        hint = "It is how many proxies of yours stand in front of the app: 0, 1 or 2; or None."
        yield Error(text, hint=hint, id=PREFIX + "E025")


def check_accounts(providers: Sequence[Provider]) -> Iterator[CheckMessage]:
    """Check that sending one webhook to two providers can't give it its effect twice."""
    for first, second in itertools.combinations(providers, 2):
        if first.account == second.account:
            continue
        names = f"The providers {first.name!r} and {second.name!r}"
        if set(list_secrets(first)) & set(list_secrets(second)):
            text = f"{names} have the same secret: one webhook sent to both has its effect twice."
        elif is_unclear(first, second):
            text = f"{names} have one preset, and do not say whether they are one account."
        else:
            continue
        yield Error(text, hint=ACCOUNT_HINT, id=PREFIX + "E026")


def is_unclear(first: Provider, second: Provider) -> bool:
    """Return whether two providers could be one account without saying so."""
    if type(first) is not type(second) or not first.docs:
        return False
    return first.shop == second.shop and not (first.says_account and second.says_account)


def count_groups(pattern: Any) -> int:
    """Return how many groups a regular expression has, or -1 if it is invalid."""
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
    if not handlers:
        text = "PAYMENT_WEBHOOKS_HANDLERS is empty: every event is stored, and then ignored."
        hint = 'Set it to {"charge.succeeded": "shop.handlers.MarkOrderPaid"}.'
        return [Warning(text, hint=hint, id=PREFIX + "W007")]
    messages = [message for each in handlers for message in check_handler(each, handlers[each])]
    return [*messages, *check_sent(handlers)]


def check_sent(event_types: Iterable[str]) -> Iterator[CheckMessage]:
    """Check that providers' events can have the types that have handlers.

    Types that a provider does not rename keep their names, so an unknown type need not be a
    mistake.
    """
    named = settings.PAYMENT_WEBHOOKS_PROVIDERS
    providers = list_declared() if isinstance(named, dict) else []
    if not all(provider.types for provider in providers):
        return
    rules = [rule for provider in providers for rule in provider.rules]
    sent = {rule.type for rule in rules}
    for event_type in set(event_types) - sent:
        renamed = [rule.type for rule in rules if rule.names_all(event_type)]
        meant = renamed or get_close_matches(event_type, sent, 1, NEAR)
        is_closed = providers and not any(can_be_called(each, event_type) for each in providers)
        if meant or is_closed:
            text = f"The handler of {event_type!r} gets no event: no event has this type."
            question = f"Did you mean {meant[0]!r}? " if meant else ""
            hint = f"{question}These are sent: {', '.join(sorted(sent))}."
            yield Warning(text, hint=hint, id=PREFIX + "W008")


def can_be_called(provider: Provider, event_type: str) -> bool:
    """Return whether a provider may itself have a type of this name."""
    if type(provider).read_types is not Provider.read_types:
        return True
    globs = list_globs(compile_field(provider.fields["type"], provider.object_path))
    return any(fnmatchcase(unmark(event_type), glob) for glob in globs)


def check_handler(event_type: str, path: Any) -> Iterator[CheckMessage]:
    """Check one handler."""
    name = f"The handler of {event_type!r}"
    if not isinstance(path, str):
        yield Error(f"{name} is {path!r}, not a path.", hint=find_path(path), id=PREFIX + "E007")
        return
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


def find_path(found: Any) -> str:
    """Return the path to write instead of a value that is not a handler's path."""
    if not inspect.isclass(found):
        return 'Set it to the dotted path of a class, such as "shop.handlers.MarkOrderPaid".'
    path = f"{found.__module__}.{found.__qualname__}"
    return f'It is the class itself. Write its dotted path, as a string: "{path}".'


def check_methods(name: str, handler: type[Handler]) -> Iterator[CheckMessage]:
    """Check that calling a handler's methods runs them."""
    # Abstract methods of the classes between this one and Handler are called, too.
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
    """Check that the events a handler requires can arrive."""
    requires: Any = handler.requires
    if isinstance(requires, property):
        return  # only an instance knows it
    is_sequence = isinstance(requires, (list, tuple, set, frozenset))
    if not is_sequence or not all(isinstance(each, str) for each in requires):
        text = f"{name} requires {requires!r}, not a sequence of types."
        hint = 'Write a tuple, with its comma: requires = ("charge.succeeded",).'
        yield Error(text, hint=hint, id=PREFIX + "E018")
        return
    if handler.is_ready is not Handler.is_ready:
        return  # it has its own rule
    missing = sorted(set(requires) - set(settings.PAYMENT_WEBHOOKS_HANDLERS))
    if missing:
        # An event without a handler is ignored, whatever its provider calls it.
        text = f"{name} requires {', '.join(missing)}, which has no handler: it would wait in vain."
        hint = "Add that type to PAYMENT_WEBHOOKS_HANDLERS, or correct the name in requires."
        yield Error(text, hint=hint, id=PREFIX + "E019")


def check_databases(name: str, handler: type[Handler]) -> Iterator[CheckMessage]:
    """Check that the routers put a handler's models and the events in the same database."""
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
    """Return whether a value is a positive number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


@register()
def check_plugins(app_configs: Any, **_: Any) -> Iterator[CheckMessage]:
    """Check that the classes for the core can be loaded, and have the methods it calls."""
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
def check_sources(app_configs: Any, **_: Any) -> Iterator[CheckMessage]:
    """Check that each source can be loaded, and belongs to a provider."""
    for name, path in settings.PAYMENT_WEBHOOKS_SOURCES.items():
        problem = find_source_problem(name, path)
        if problem:
            text = f"PAYMENT_WEBHOOKS_SOURCES[{name!r}]: {problem}"
            hint = (
                "Name a provider of PAYMENT_WEBHOOKS_PROVIDERS, and the dotted path of a class "
                "derived from django_payment_webhooks.operations.backfill.sources.Source."
            )
            yield Error(text, hint=hint, id=PREFIX + "E040")


def find_source_problem(name: str, path: Any) -> str:
    """Return what is wrong with a provider's source, or "" if nothing is."""
    if name not in settings.PAYMENT_WEBHOOKS_PROVIDERS:
        return "there is no such provider."
    try:
        source = import_string(path)
    except Exception as error:
        return f"{path!r} can't be imported: {error}"
    if not inspect.isclass(source) or not issubclass(source, Source):
        return f"{path} is not a class derived from Source."
    return ""


@register()
def check_redaction(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Check that the names of the fields to redact, and not to redact, are lists of names."""
    return [
        Error(
            f"PAYMENT_WEBHOOKS_{name} is not a list of names.",
            hint='Set it to a list such as ["loyalty_number"], or to [].',
            id=PREFIX + "E014",
        )
        for name in ("REDACTED_FIELDS", "SHOWN_FIELDS")
        if not is_list_of_names(getattr(settings, f"PAYMENT_WEBHOOKS_{name}", []))
    ]


def is_list_of_names(names: Any) -> bool:
    """Return whether a setting is a list, or similar, of strings."""
    is_list = isinstance(names, (list, tuple, set, frozenset))
    return is_list and all(isinstance(name, str) for name in names)


@register()
def check_history(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Check that the history has its configuration, which Django before 3.2 does not find."""
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
    """Check that the project's Celery app is loaded. Without one, Celery uses a default app."""
    if current_app.main != "default":
        return []
    text = (
        "The project's Celery app is not loaded: messages go to a broker on this machine, and no "
        "worker takes them."
    )
    hint = "Import it in the __init__.py beside settings.py: from .celery import app as celery_app."
    return [Warning(text, hint=hint, id=PREFIX + "W004")]


@register()
def check_broker_client(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Check that the broker's client is installed, without which no worker starts."""
    try:
        current_app.connection_for_write().create_transport()
    except (ImportError, KeyError) as error:
        text = f"The broker's client can't be loaded: {error}."
        hint = "Install what Celery needs for this broker, such as celery[redis] for Redis."
        return [Error(text, hint=hint, id=PREFIX + "E027")]
    return []


@register()
def check_time_limits(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Check that Celery's time limits end a task before its lease, but not too early."""
    hard = process.time_limit or current_app.conf.task_time_limit
    soft = process.soft_time_limit or current_app.conf.task_soft_time_limit
    hint = (
        "Set CELERY_TASK_TIME_LIMIT below PAYMENT_WEBHOOKS_LEASE, and above what a handler's calls "
        "may take together."
    )
    faults = find_limit_faults(hard, soft)
    return [Warning(text, hint=hint, id=PREFIX + "W009") for text in faults]


@register()
def check_uwsgi(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Check that uWSGI runs threads, if this runs inside it: the overview then shows it."""
    if not lacks_threads():
        return []
    hint = "Set enable-threads = true in uWSGI's configuration."
    return [Error(NO_THREADS, hint=hint, id=PREFIX + "E028")]


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
