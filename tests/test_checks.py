"""Each system check fires exactly when it should. No test here has a database: none of the checks
may touch it.
"""

import functools
import sys

import pytest
from celery import current_app
from django.apps import apps
from django.core import checks
from django.db import connection, connections
from kombu import Connection
from kombu.transport import TRANSPORT_ALIASES
from shop.handlers import MarkOrderPaid, RecordRefund

from django_payment_webhooks import conf
from django_payment_webhooks.checks import check_sources
from django_payment_webhooks.handlers import Handler
from django_payment_webhooks.payments import OrderPaidHandler
from django_payment_webhooks.providers import Provider
from django_payment_webhooks.publisher import UWSGI_WITH_THREADS, ThreadPublisher, process

from .factories import SECRET

# Long enough to be no bad secret for another reason.
SECRET_KEY = "the-secret-key-of-the-project"


@pytest.fixture(autouse=True)
def _good_database(monkeypatch):
    monkeypatch.setattr(connection.features, "has_select_for_update", True)


def found():
    """Return the ids of all messages of the app."""
    messages = [
        message for message in checks.run_checks() if message.id.startswith("payment_webhooks.")
    ]
    for message in messages:
        assert message.hint
        assert message.level == (checks.ERROR if ".E" in message.id else checks.WARNING)
        assert SECRET not in str(message)
        assert SECRET_KEY not in str(message)
    return [message.id[len("payment_webhooks.") :] for message in messages]


def test_the_shop_has_nothing_to_complain_of():
    assert found() == []


# ---- providers


@pytest.fixture
def provider(settings):
    """Set up one provider with these options, and good ones for the rest."""
    settings.SECRET_KEY = SECRET_KEY

    def provider(**options):
        settings.PAYMENT_WEBHOOKS_PROVIDERS = {"partner": dict({"SECRETS": [SECRET]}, **options)}

    return provider


@pytest.mark.parametrize("providers", [{}, None, [], "partner", ["partner"]])
def test_e001_reports_no_provider(settings, providers):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = providers
    assert found() == ["E001"]


class FailingProvider:
    """No provider: it can't even be made."""

    def __init__(self, name, **options):
        raise RuntimeError("It can't be made.")


class NoProvider:
    """No provider, though it can be made like one."""

    def __init__(self, name, **options):
        pass


@pytest.mark.parametrize(
    "options",
    [
        {"BACKEND": "no.such.module"},
        {"BACKEND": "tests.test_checks.NoSuchClass"},
        {"BACKEND": "tests.test_checks.FailingProvider"},
        {"BACKEND": "nodots"},
        {"BACKEND": None},
        {"BACKEND": NoProvider},
        {"SECRET": [SECRET]},
        {"secrets ": [SECRET]},
        {"FIELDS": "event_id"},
    ],
)
def test_e002_reports_a_provider_that_can_not_be_loaded(provider, options):
    provider(**options)
    assert found() == ["E002"]


@pytest.mark.parametrize("options", ["text", 17, None])
def test_e002_reports_options_that_are_none(settings, options):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"partner": options}
    assert found() == ["E002"]


def test_e003_reports_a_backend_that_is_no_provider(provider):
    provider(BACKEND="tests.test_checks.NoProvider")
    assert found() == ["E003"]


@pytest.mark.parametrize(
    "secrets", [(), [], [""], ["", ""], [None], None, "", SECRET, SECRET.encode(), {SECRET: 1}, 17]
)
def test_e004_reports_a_provider_without_a_list_of_secrets(provider, secrets):
    provider(SECRETS=secrets)
    assert found() == ["E004"]


@pytest.mark.parametrize("secrets", [SECRET, SECRET.encode()])
def test_e004_says_that_a_secret_is_no_list_and_does_not_show_it(provider, secrets):
    provider(SECRETS=secrets)
    (message,) = [each for each in checks.run_checks() if each.id == "payment_webhooks.E004"]
    assert message.msg == (
        "SECRETS of the provider 'partner' is a string, not a list: all its webhooks are refused."
    )
    assert '"SECRETS": [os.environ["..."]]' in message.hint
    assert SECRET not in message.msg + message.hint


def test_e004_reports_a_provider_without_the_option(settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"partner": {}}
    assert found() == ["E004"]


@pytest.mark.parametrize(
    "secret", ["", " " * 20, "fifteen-bytes-x", None, 17, SECRET.encode(), [SECRET]]
)
def test_e005_reports_one_bad_secret_among_good_ones(provider, secret):
    provider(SECRETS=[SECRET, secret])
    assert found() == ["E005"]


@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_e005_reports_a_secret_that_can_not_be_decoded(provider, encoding):
    provider(SECRETS=["not hex, not base64: a text of more than 16 bytes"], KEY_ENCODING=encoding)
    assert found() == ["E005"]


@pytest.mark.parametrize(
    "secrets", [["sixteen-bytes-xx"], [SECRET, "another-secret-of-the-partner"], (SECRET,)]
)
def test_good_secrets_are_nothing_to_complain_of(provider, secrets):
    provider(SECRETS=secrets)
    assert found() == []


def test_e006_reports_the_secret_key_as_a_secret(provider):
    provider(SECRETS=[SECRET, SECRET_KEY])
    assert found() == ["E006"]


@pytest.mark.parametrize("option", ["SIGNATURE_PATTERN", "TIMESTAMP_PATTERN"])
@pytest.mark.parametrize("pattern", ["[0-9a-f]{64}", "(a)(b)", "(", "(?:[0-9a-f]{64})", 17])
def test_e010_reports_a_pattern_without_exactly_one_group(provider, option, pattern):
    provider(**{option: pattern})
    assert found() == ["E010"]


@pytest.mark.parametrize("options", [{"SIGNATURE_PATTERN": None}, {"SIGNATURE_TEMPLATE": ""}])
def test_e010_reports_a_missing_pattern_for_signatures(provider, options):
    provider(**options)
    assert found() == ["E010"]


@pytest.mark.parametrize("pattern", [r"\A(.+)\Z", r"(?:\A|,)v1=([0-9a-f]{64})(?=,|\Z)"])
def test_a_pattern_with_one_group_is_nothing_to_complain_of(provider, pattern):
    provider(SIGNATURE_PATTERN=pattern, TIMESTAMP_PATTERN=pattern, CONTENT="{timestamp}.{body}")
    assert found() == []


@pytest.mark.parametrize(
    "options",
    [
        {"KEY_ENCODING": "utf8"},
        {"DIGEST": "sha257"},
        {"SIGNATURE_ENCODING": "b64"},
        {"TOLERANCE": "300"},
    ],
    ids=lambda options: list(options)[0],
)
def test_an_option_that_would_fail_with_the_first_webhook_is_reported(provider, options):
    provider(**options)
    assert len(found()) == 1


@pytest.mark.parametrize(
    "content", ["{body}", "{timestamp}.{body}", "Webhook-Id.{body}", "{Webhook-Id2}.{body}"]
)
def test_w003_reports_an_id_in_a_header_that_is_not_signed(provider, content):
    provider(FIELDS={"provider_event_id": "header:Webhook-Id"}, CONTENT=content)
    assert found() == ["W003"]


@pytest.mark.parametrize("header", ["Webhook-Id", "webhook-id"])
def test_a_header_that_is_signed_is_nothing_to_complain_of(provider, header):
    provider(FIELDS={"provider_event_id": "header:" + header}, CONTENT="{webhook-id}.{body}")
    assert found() == []


def test_the_header_with_the_time_of_signing_is_signed(provider):
    provider(
        FIELDS={"occurred_at": "header:X-Time"},
        CONTENT="{timestamp}.{body}",
        TIMESTAMP_HEADER="X-Time",
    )
    assert found() == []


class KeysFromElsewhere(Provider):
    """A provider whose keys come from elsewhere, but that signs as its options say."""

    has_secrets = False

    def keys(self):
        """Return a key that is not there yet: nothing may be fetched by a check."""
        raise RuntimeError("Nobody is there.")


class AnotherProof(Provider):
    """A provider that proves its webhooks in a way of its own, with secrets."""

    verifies_by_options = False
    fields = {"provider_event_id": "header:Webhook-Id"}


def test_a_provider_without_secrets_needs_none(provider):
    provider(BACKEND="tests.test_checks.KeysFromElsewhere", SECRETS=[])
    assert found() == []


def test_the_scheme_of_a_provider_without_secrets_is_checked(provider):
    provider(BACKEND="tests.test_checks.KeysFromElsewhere", SECRETS=[], DIGEST="sha257")
    assert found() == ["E012"]


def test_options_that_a_class_does_not_use_are_not_checked(provider):
    provider(BACKEND="tests.test_checks.AnotherProof", SIGNATURE_PATTERN="", DIGEST="sha257")
    assert found() == []


def test_the_secrets_of_a_class_with_another_proof_are_checked(provider):
    provider(BACKEND="tests.test_checks.AnotherProof", SECRETS=["short"])
    assert found() == ["E005"]


def test_every_provider_is_checked(settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        "a": {"BACKEND": "no.such"},
        "b": {},
        "c": {"SECRETS": ["short", SECRET]},
    }
    assert sorted(found()) == ["E002", "E004", "E005"]


@pytest.mark.parametrize("name", ["a b", "a/b", "", "x" * 65, "\u00e9.x"])
def test_e020_reports_a_name_without_an_address(settings, name):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {name: {"SECRETS": [SECRET]}}
    assert found() == ["E020"]


@pytest.mark.parametrize("content", ["", "signed", "{timestamp}", "{x-id}.{timestamp}", "{url}"])
def test_e021_reports_a_body_that_is_not_signed(provider, content):
    provider(CONTENT=content, URL="https://shop.example/hook")
    assert found() == ["E021"]


def test_e022_reports_an_address_that_is_signed_and_not_known(provider):
    provider(CONTENT="{url}{body}")
    assert found() == ["E022"]
    provider(CONTENT="{url}{body}", URL="https://shop.example/hook")
    assert found() == []


@pytest.mark.parametrize(
    "options",
    [
        {"TIMESTAMP_PATTERN": "t=([0-9]+)"},
        {"TIMESTAMP_HEADER": "X-Time"},
        {"SIGNATURE_TEMPLATE": "t={timestamp},v1={signature}"},
    ],
)
def test_e023_reports_a_time_that_is_not_signed(provider, options):
    provider(**options)
    assert found() == ["E023"]
    provider(**options, CONTENT="{timestamp}.{body}")
    assert found() == []
    provider(**options, TOLERANCE=None)
    assert found() == []


def confirm(event):
    """Ask the provider."""


def test_e024_reports_that_a_webhook_which_proves_nothing_is_not_confirmed(provider):
    provider(PRESET="yookassa", SECRETS=[])
    assert found() == ["E024"]
    provider(PRESET="yookassa", SECRETS=[], CONFIRM="tests.test_checks.nobody")
    assert found() == ["E024"]
    provider(PRESET="yookassa", SECRETS=[], CONFIRM="tests.test_checks.confirm")
    assert found() == []


@pytest.mark.parametrize(
    "options",
    [
        {"ADDRESSES": ["192.0.2.1/24"]},
        {"ADDRESSES": ["shop.example"]},
        {"TRUSTED_PROXIES": -1},
        {"TRUSTED_PROXIES": "1"},
        {"TRUSTED_PROXIES": True},
    ],
)
def test_e025_reports_addresses_that_are_none(provider, options):
    provider(**options)
    assert found() == ["E025"]


OTHER = "another-secret-of-the-partner"
SAME, ACCOUNT, SHOP = {"SECRETS": [SECRET]}, {"ACCOUNT": "acme"}, {"SHOP": "b"}


@pytest.mark.parametrize(
    ("first", "second", "ids"),
    [
        (SAME, SAME, ["E026"]),
        (SAME, {"SECRETS": [OTHER, SECRET]}, ["E026"]),
        ({**SAME, **ACCOUNT}, {**SAME, **ACCOUNT}, []),
        ({**SAME, **ACCOUNT}, SAME, ["E026"]),
        # A webhook of one shop could pay an order of the other.
        (SAME, {**SAME, **SHOP}, ["E026"]),
        (SAME, {"SECRETS": [OTHER]}, []),
        ({**SAME, "PRESET": "stripe"}, {"SECRETS": [OTHER], "PRESET": "stripe"}, ["E026"]),
        (
            {**SAME, **ACCOUNT, "PRESET": "stripe"},
            {"SECRETS": [OTHER], **ACCOUNT, "PRESET": "stripe"},
            [],
        ),
        (
            {**SAME, **ACCOUNT, "PRESET": "stripe"},
            {"SECRETS": [OTHER], "ACCOUNT": "other", "PRESET": "stripe"},
            [],
        ),
        ({**SAME, "PRESET": "stripe"}, {"SECRETS": [OTHER], **SHOP, "PRESET": "stripe"}, []),
        ({**SAME, "PRESET": "razorpay"}, {"SECRETS": [OTHER], "PRESET": "stripe"}, []),
    ],
)
def test_e026_reports_that_one_webhook_could_have_its_effect_twice(settings, first, second, ids):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"one": first, "two": second}
    assert found() == ids


@pytest.mark.parametrize("secret", [" " + SECRET, SECRET + "\n", f'"{SECRET}"', f"'{SECRET}'"])
def test_w006_reports_what_came_along_with_a_secret(provider, secret):
    provider(SECRETS=[secret])
    assert found() == ["W006"]


def test_base64_of_another_alphabet_is_reported(provider):
    provider(SECRETS=["-_-_" * 8], KEY_ENCODING="base64")
    assert found() == ["E005"]


@pytest.mark.parametrize(
    "options",
    [
        {"SIGNATURE_HEADER": 1},
        {"SIGNATURE_TEMPLATE": 1},
        {"CONTENT": None},
        {"EVENTS_PATH": []},
        {"URL": ["https://shop.example"]},
        {"IGNORED_FIELDS": "attempts"},
        {"ANSWER_BODY": b"OK"},
        {"LIVE": "yes"},
    ],
)
def test_e012_reports_an_option_of_another_type(provider, options):
    provider(**options)
    assert found() == ["E012"]


@pytest.mark.parametrize("options", [{"TYPES": ["paid"]}, {"TYPES": 1}, {"FIELDS": {"type": 1}}])
def test_what_can_not_be_compiled_is_reported(provider, options):
    provider(**options)
    assert found() == ["E002"]


# ---- handlers


class Abstract(Handler):
    """A handler that is not written yet."""


class AlmostWritten(OrderPaidHandler):
    """A handler that lacks the one method that says what is done."""

    def get_order(self, event):
        """Return an order."""

    def get_price(self, order):
        """Return a price."""


class NoHandler:
    """What was meant to be a handler, but is not derived from one."""

    def apply(self, event):
        """Do nothing."""


@pytest.mark.parametrize(
    "path",
    [
        "no.such.module",
        "shop.handlers.NoSuchClass",
        "nodots",
        17,
        AlmostWritten,
        "tests.factories.EventFactory.x",
    ],
)
def test_e007_reports_a_handler_that_can_not_be_imported(settings, path):
    settings.PAYMENT_WEBHOOKS_HANDLERS = {"charge.succeeded": path}
    assert found() == ["E007"]


def test_e007_says_that_a_class_is_no_path_and_what_its_path_is(settings):
    settings.PAYMENT_WEBHOOKS_HANDLERS = {"charge.succeeded": AlmostWritten}
    (message,) = [each for each in checks.run_checks() if each.id == "payment_webhooks.E007"]
    assert message.msg == f"The handler of 'charge.succeeded' is {AlmostWritten!r}, not a path."
    assert message.hint.endswith('as a string: "tests.test_checks.AlmostWritten".')


@pytest.mark.parametrize(
    "path",
    ["tests.test_checks.NoHandler", "tests.test_checks.found", "tests.test_checks.SECRET_KEY"],
)
def test_e008_reports_a_handler_that_is_no_handler(settings, path):
    settings.PAYMENT_WEBHOOKS_HANDLERS = {"charge.succeeded": path}
    assert found() == ["E008"]


@pytest.mark.parametrize(
    "path",
    [
        "tests.test_checks.Abstract",
        "tests.test_checks.AlmostWritten",
        "django_payment_webhooks.handlers.Handler",
        "django_payment_webhooks.payments.RefundCreatedHandler",
    ],
)
def test_e009_reports_a_handler_that_is_abstract(settings, path):
    settings.PAYMENT_WEBHOOKS_HANDLERS = {"charge.succeeded": path}
    assert found() == ["E009"]


def test_e009_names_the_method_that_is_missing(settings):
    settings.PAYMENT_WEBHOOKS_HANDLERS = {"charge.succeeded": "tests.test_checks.AlmostWritten"}
    (message,) = [
        message for message in checks.run_checks() if message.id == "payment_webhooks.E009"
    ]
    assert "order_paid" in message.hint


def test_every_handler_is_checked(settings):
    paths = [
        "shop.handlers.MarkOrderPaid",
        "no.such",
        "tests.test_checks.NoHandler",
        "tests.test_checks.Abstract",
    ]
    settings.PAYMENT_WEBHOOKS_HANDLERS = {"type %s" % path: path for path in paths}
    assert sorted(found()) == ["E007", "E008", "E009"]


@pytest.mark.parametrize(
    "handlers", [None, ["shop.handlers.MarkOrderPaid"], "shop.handlers.MarkOrderPaid"]
)
def test_handlers_that_are_no_dictionary_are_reported(settings, handlers):
    settings.PAYMENT_WEBHOOKS_HANDLERS = handlers
    assert len(found()) == 1


class AsyncApply(Handler):
    """A handler whose coroutine would never be awaited."""

    async def apply(self, event):
        """Do nothing, as it is never awaited."""


class AsyncDelivery(MarkOrderPaid):
    """A handler that is almost right."""

    async def deliver(self, event):
        """Do nothing, as it is never awaited."""


class GeneratorPreparation(MarkOrderPaid):
    """A handler with a yield where none belongs."""

    def prepare(self, event):
        """Do nothing, as no value is ever requested."""
        yield event


class AsyncGeneratorKey(MarkOrderPaid):
    """A handler that gives no name to its effect."""

    async def idempotency_key(self, event):
        """Do nothing."""
        yield event


class AsyncHook(OrderPaidHandler):
    """A handler whose class between it and Handler would call a coroutine."""

    def get_order(self, event):
        """Return an order."""

    def get_price(self, order):
        """Return a price."""

    async def order_paid(self, event, order):
        """Do nothing, as it is never awaited."""


def wrapped(function):
    """Return what does the same as a function, in the way of many decorators."""

    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


class WrappedAsyncApply(Handler):
    """A handler with a decorator in front of its coroutine."""

    @wrapped
    async def apply(self, event):
        """Do nothing, as it is never awaited."""


class WellWritten(Handler):
    """A handler with decorators, a static method and a generator of its own: all of it works."""

    @wrapped
    def apply(self, event):
        """Do what is to do."""
        list(self.list_lines(event))

    @staticmethod
    def is_ready(event):
        """Be ready."""
        return True

    def list_lines(self, event):
        """Yield each line."""
        yield event


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("AsyncApply", "apply"),
        ("AsyncDelivery", "deliver"),
        ("GeneratorPreparation", "prepare"),
        ("AsyncGeneratorKey", "idempotency_key"),
        ("AsyncHook", "order_paid"),
        ("WrappedAsyncApply", "apply"),
    ],
)
def test_e017_reports_a_method_that_would_do_nothing(settings, name, method):
    settings.PAYMENT_WEBHOOKS_HANDLERS = {"charge.succeeded": f"tests.test_checks.{name}"}
    assert found() == ["E017"]
    (message,) = [each for each in checks.run_checks() if each.id == "payment_webhooks.E017"]
    assert f" {method}() " in message.msg


def test_plain_methods_are_nothing_to_complain_of(settings):
    settings.PAYMENT_WEBHOOKS_HANDLERS = {"charge.succeeded": "tests.test_checks.WellWritten"}
    assert found() == []


# ---- what a handler requires


@pytest.fixture
def requires(settings, monkeypatch):
    """Let the shop's refunds require something."""
    return lambda value: monkeypatch.setattr(RecordRefund, "requires", value)


@pytest.mark.parametrize(
    "value", ["charge.succeeded", "", None, 17, [17], (None,), {"charge.succeeded": 1}, b"charge"]
)
def test_e018_reports_what_is_no_sequence_of_types(requires, value):
    requires(value)
    assert found() == ["E018"]


@pytest.mark.parametrize(
    "value",
    [
        (),
        [],
        ("charge.succeeded",),
        ["charge.succeeded", "dispute.opened"],
        {"charge.succeeded"},
        property(lambda self: ("charge.succeeded",)),
    ],
)
def test_a_sequence_of_types_with_handlers_is_nothing_to_complain_of(requires, value):
    requires(value)
    assert found() == []


def test_e019_reports_a_type_that_can_never_be_applied(requires):
    requires(("charge.succeeded", "charge.suceeded"))
    assert found() == ["E019"]
    (message,) = [each for each in checks.run_checks() if each.id == "payment_webhooks.E019"]
    assert "charge.suceeded, which has no handler" in message.msg


def test_e019_reports_it_although_a_provider_sends_that_type(provider, settings):
    provider(TYPES={"paid": "charge.succeeded"})
    handlers = dict(settings.PAYMENT_WEBHOOKS_HANDLERS)
    del handlers["charge.succeeded"]
    settings.PAYMENT_WEBHOOKS_HANDLERS = handlers
    assert found() == ["E019", "E019", "E019"]


def test_a_handler_with_a_rule_of_its_own_may_require_what_it_likes(requires, monkeypatch):
    requires(("no.such.type",))
    monkeypatch.setattr(RecordRefund, "is_ready", lambda self, event: True, raising=False)
    assert found() == []


# ---- two databases


class Router:
    """Puts one app into a database of its own."""

    def __init__(self, label):
        self.label = label

    def db_for_write(self, model, **hints):
        """Return the app's database for its models."""
        return "other" if model._meta.app_label == self.label else None


@pytest.mark.parametrize("label", ["shop", "payment_webhooks"])
def test_w005_reports_an_app_that_is_in_another_database_than_the_events(
    settings, monkeypatch, label
):
    monkeypatch.setitem(connections.databases, "other", connections.databases["default"])
    settings.DATABASE_ROUTERS = [Router(label)]
    monkeypatch.setattr(connections["other"].features, "has_select_for_update", True)
    assert found() == ["W005"] * 4


def test_an_app_in_the_events_database_is_nothing_to_complain_of(settings, monkeypatch):
    monkeypatch.setitem(connections.databases, "other", connections.databases["default"])
    settings.DATABASE_ROUTERS = [Router("auth")]
    assert found() == []


# ---- numbers

TIMES = [
    "PUBLISH_PAUSE",
    "TASK_TIME",
    "SWEEP_GRACE",
    "SWEEP_CEILING",
    "SWEEP_INTERVAL",
    "LEASE",
    "WAIT_DEADLINE",
    "BACKOFF_BASE",
    "BACKOFF_CEILING",
    "HEALTH_DUE_AGE",
    "HEALTH_RETRY_AGE",
    "HEALTH_RETRY_CRITICAL_AGE",
    "HEALTH_SWEEP_AGE",
    "HEALTH_UNFINISHED_AGE",
    "REJECTIONS_INTERVAL",
]
COUNTS = [
    "MAX_BODY_SIZE",
    "MAX_EVENTS",
    "MAX_JSON_DEPTH",
    "MAX_JSON_VALUES",
    "MESSAGE_SIZE",
    "MAX_ATTEMPTS",
    "SWEEP_BATCH",
]


def test_every_setting_that_is_a_number_is_checked():
    numbers = {
        name[len("PAYMENT_WEBHOOKS_") :]
        for name in dir(conf.settings)
        if name.startswith("PAYMENT_WEBHOOKS_")
        and type(getattr(conf.settings, name)) in (int, float)
    }
    assert numbers == {*TIMES, *COUNTS}


@pytest.mark.parametrize("name", [name for name in TIMES + COUNTS if name != "SWEEP_INTERVAL"])
@pytest.mark.parametrize("value", [0, -1, None, "5", True, [], float("nan"), -0.5])
def test_e011_reports_what_is_not_a_positive_number(settings, name, value):
    setattr(settings, "PAYMENT_WEBHOOKS_" + name, value)
    assert found() == ["E011"]


@pytest.mark.parametrize("value", [-1, "5", True, float("nan"), -0.5])
def test_e011_reports_an_interval_of_sweeps_that_is_neither_one_nor_never(settings, value):
    settings.PAYMENT_WEBHOOKS_SWEEP_INTERVAL = value
    assert found() == ["E011"]


@pytest.mark.parametrize("name", COUNTS)
def test_e011_reports_a_count_that_is_no_whole_number(settings, name):
    setattr(settings, "PAYMENT_WEBHOOKS_" + name, 1.5)
    assert found() == ["E011"]


@pytest.mark.parametrize("name", ["HEALTH_DUE_AGE", "REJECTIONS_INTERVAL"])
def test_a_number_of_a_module_that_is_not_loaded_is_nothing_to_complain_of(settings, name):
    delattr(settings, "PAYMENT_WEBHOOKS_" + name)
    assert found() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, 1) for name in TIMES + COUNTS] + [(name, 0.5) for name in TIMES],
)
def test_a_positive_number_is_nothing_to_complain_of(settings, name, value):
    setattr(settings, "PAYMENT_WEBHOOKS_" + name, value)
    assert found() == []


# ---- plug-ins


class Recorder:
    """What a project could have in a plug-in's place: it has every method that the core calls."""

    publish = flush = run = insert = call = find_key = record = lambda self, *args: None
    call_guarded = find_handler = prepare = is_ready = has_had = deliver = run
    current = enter = all = run


class HalfAPlugin:
    """What lacks most methods."""

    publish = None
    run = insert = lambda self, *args: None


recorder = Recorder()


@pytest.mark.parametrize("name", ["PUBLISHER", "RETRY_POLICY", "TENANTS"])
@pytest.mark.parametrize(
    "path",
    [
        "no.such.module",
        "tests.test_checks.NoSuchClass",
        "nodots",
        None,
        17,
        "tests.test_checks.HalfAPlugin",
        "tests.test_checks.recorder",
        "tests.test_checks.found",
        "tests.test_checks.SECRET_KEY",
    ],
)
def test_e016_reports_a_plug_in_that_the_core_could_not_use(settings, name, path):
    setattr(settings, "PAYMENT_WEBHOOKS_" + name, path)
    assert found() == ["E016"]


@pytest.mark.parametrize("name", ["PUBLISHER", "RETRY_POLICY", "TENANTS"])
def test_a_plug_in_of_the_projects_own_is_nothing_to_complain_of(settings, name):
    setattr(settings, "PAYMENT_WEBHOOKS_" + name, "tests.test_checks.Recorder")
    assert found() == []


@pytest.mark.parametrize(
    ("name", "path", "problem"),
    [
        ("defualt", "shop.sources.Stripe", "no such provider"),
        ("default", "shop.sources.Nothing", "can't be imported"),
        ("default", None, "can't be imported"),
        ("default", "shop.sources.read_payment", "not a class derived from Source"),
        ("default", "shop.models.Order", "not a class derived from Source"),
    ],
)
def test_e040_reports_a_source_that_could_not_be_asked(settings, name, path, problem):
    settings.PAYMENT_WEBHOOKS_SOURCES = {name: path}
    (error,) = check_sources(None)
    assert (error.id, problem in error.msg) == ("payment_webhooks.E040", True)
    settings.PAYMENT_WEBHOOKS_SOURCES = {"default": "shop.sources.Stripe"}
    assert found() == []


# ---- redaction and history


@pytest.mark.parametrize("value", ["email", None, {"email": 1}, [1], [None]])
@pytest.mark.parametrize("name", ["REDACTED_FIELDS", "SHOWN_FIELDS"])
def test_e014_reports_fields_to_redact_that_are_no_list_of_names(settings, name, value):
    setattr(settings, f"PAYMENT_WEBHOOKS_{name}", value)
    assert found() == ["E014"]


@pytest.mark.parametrize("value", [[], ["email"], ("a", "b"), {"email"}])
def test_a_list_of_fields_to_redact_is_nothing_to_complain_of(settings, value):
    settings.PAYMENT_WEBHOOKS_REDACTED_FIELDS = settings.PAYMENT_WEBHOOKS_SHOWN_FIELDS = value
    assert found() == []


def test_e015_reports_a_history_without_its_configuration(monkeypatch):
    assert found() == []
    monkeypatch.setattr(apps.get_app_config("payment_webhooks_history"), "label", "history")
    assert found() == ["E015"]


# ---- the sweeper


@pytest.fixture
def beat():
    """Set Celery's beat schedule."""
    before = current_app.conf.beat_schedule

    def beat(**schedule):
        current_app.conf.beat_schedule = schedule

    yield beat
    current_app.conf.beat_schedule = before


@pytest.mark.parametrize("interval", [None, 0])
def test_w001_reports_that_no_worker_sweeps(settings, interval):
    settings.PAYMENT_WEBHOOKS_SWEEP_INTERVAL = interval
    assert found() == ["W001"]


def test_w001_is_not_content_with_another_task_in_the_beat_schedule(settings, beat):
    settings.PAYMENT_WEBHOOKS_SWEEP_INTERVAL = None
    beat(clean={"task": "shop.clean", "schedule": 10}, odd={})
    assert found() == ["W001"]


def test_a_sweep_in_the_beat_schedule_is_enough(settings, beat):
    settings.PAYMENT_WEBHOOKS_SWEEP_INTERVAL = None
    beat(sweep={"task": "payment_webhooks.sweep_events", "schedule": 10})
    assert found() == []


# ---- the database


def test_w002_reports_a_database_that_can_not_lock_rows(monkeypatch):
    monkeypatch.setattr(connection.features, "has_select_for_update", False)
    assert found() == ["W002"]


def test_w002_can_be_silenced(settings, monkeypatch):
    monkeypatch.setattr(connection.features, "has_select_for_update", False)
    settings.SILENCED_SYSTEM_CHECKS = ["payment_webhooks.W002"]
    (message,) = [
        message for message in checks.run_checks() if message.id == "payment_webhooks.W002"
    ]
    assert message.is_silenced()


# ---- Celery


def test_w004_reports_a_celery_app_that_is_not_loaded(monkeypatch):
    assert current_app.main == "testproject"
    monkeypatch.setattr(current_app._get_current_object(), "main", "default")
    assert found() == ["W004"]


@pytest.mark.parametrize("url", ["needs-a-client://", "no-such-broker://"])
def test_e027_reports_a_broker_whose_client_can_not_be_loaded(monkeypatch, url):
    monkeypatch.setitem(TRANSPORT_ALIASES, "needs-a-client", "no_such_client:Transport")
    app = current_app._get_current_object()
    monkeypatch.setattr(app, "connection_for_write", lambda: Connection(url))
    assert found() == ["E027"]


# ---- tests that change the settings


def test_a_provider_is_made_anew_after_its_settings_have_changed(provider):
    provider(TOLERANCE=17)
    assert conf.get_provider("partner").tolerance == 17
    provider(TOLERANCE=18)
    assert conf.get_provider("partner").tolerance == 18


# ---- what can't happen, or would take too long


def test_w007_reports_that_there_are_no_handlers(settings):
    settings.PAYMENT_WEBHOOKS_HANDLERS = {}
    assert found() == ["W007"]


PAID_BY = "shop.handlers.MarkOrderPaid"


def warnings(settings, *types, **providers):
    """Return what W008 says about handlers of these types, and of charges, for some providers."""
    settings.PAYMENT_WEBHOOKS_PROVIDERS = providers
    settings.PAYMENT_WEBHOOKS_HANDLERS = dict.fromkeys(["charge.succeeded", *types], PAID_BY)
    messages = checks.run_checks()
    return [f"{each.msg} {each.hint}" for each in messages if each.id == "payment_webhooks.W008"]


STRIPE = {"PRESET": "stripe", "SECRETS": ["whsec_" + SECRET], "LIVE": True}


@pytest.mark.parametrize(
    ("event_type", "meant"),
    [
        ("charge.succeded", "Did you mean 'charge.succeeded'?"),
        ("payment_intent.succeeded", "Did you mean 'charge.succeeded'?"),
        ("charge.dispute.created", "Did you mean 'dispute.opened'?"),
    ],
)
def test_w008_reports_a_handler_that_gets_no_event(settings, event_type, meant):
    (text,) = warnings(settings, event_type, stripe=STRIPE)
    assert text.startswith(f"The handler of {event_type!r} gets no event")
    assert meant in text


@pytest.mark.parametrize("event_type", ["customer.created", "charge.updated", "refund.created"])
def test_w008_lets_a_provider_send_types_that_are_not_renamed(settings, event_type):
    assert warnings(settings, event_type, stripe=STRIPE) == []


SHOP = {"PRESET": "woocommerce", "SECRETS": [SECRET]}


def test_w008_reports_a_type_that_has_no_form_of_the_providers_own(settings):
    (text,) = warnings(settings, "checkout.paid", shop=SHOP)
    assert "'checkout.paid' gets no event: no event has this type. These are sent: " in text
    assert warnings(settings, "checkout.paid", shop=SHOP, stripe=STRIPE) == []


@pytest.mark.parametrize("event_type", ["order.on-hold", "unmapped:order.on-hold"])
def test_w008_lets_a_provider_send_types_of_its_form(settings, event_type):
    assert warnings(settings, event_type, shop=SHOP) == []


def test_w008_says_nothing_if_a_provider_renames_nothing(settings):
    plain = {"SECRETS": ["another-secret-" + SECRET]}
    assert warnings(settings, "charge.succeded", stripe=STRIPE, partner=plain) == []


@pytest.fixture
def limits(monkeypatch, settings):
    """Set Celery's time limits."""
    settings.PAYMENT_WEBHOOKS_TASK_TIME = 1

    def limits(hard=None, soft=None):
        monkeypatch.setitem(current_app.conf, "task_time_limit", hard)
        monkeypatch.setitem(current_app.conf, "task_soft_time_limit", soft)
        return [each.msg for each in checks.run_checks() if each.id == "payment_webhooks.W009"]

    return limits


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"hard": 300}, ["hard time limit is 300 seconds, and PAYMENT_WEBHOOKS_LEASE is 300"]),
        ({"soft": 400}, ["soft time limit is 400 seconds, and PAYMENT_WEBHOOKS_LEASE is 300"]),
        ({"hard": 600, "soft": 200}, ["hard time limit is 600 seconds"]),
        ({"hard": 30, "soft": 1}, ["soft time limit is 1 seconds, and PAYMENT_WEBHOOKS_TASK_TIME"]),
        ({"hard": 299, "soft": 400}, []),
        ({"hard": 240, "soft": 210}, []),
        ({}, []),
    ],
)
def test_w009_reports_time_limits_that_do_not_fit_the_lease(limits, given, named):
    texts = limits(**given)
    assert len(texts) == len(named)
    for text, name in zip(texts, named):
        assert name in text


def test_w009_sees_the_limit_of_the_task_alone(limits, monkeypatch):
    monkeypatch.setattr(process, "time_limit", 600, raising=False)
    (text,) = limits(hard=100)
    assert "hard time limit is 600 seconds" in text


class OldUWSGI:
    """What ``import uwsgi`` finds within uWSGI."""

    version_info = (2, 0, 21, 0, b"")

    def __init__(self, **options):
        self.opt = {name.replace("_", "-"): value for name, value in options.items()}


@pytest.mark.parametrize(
    ("options", "ids"),
    [({}, ["E028"]), ({"enable_threads": True}, []), ({"threads": b"2"}, [])],
)
def test_e028_reports_a_uwsgi_without_threads(monkeypatch, options, ids):
    monkeypatch.setitem(sys.modules, "uwsgi", OldUWSGI(**options))
    assert found() == ids


def test_e028_knows_that_a_new_uwsgi_has_threads(monkeypatch):
    monkeypatch.setattr(OldUWSGI, "version_info", (*UWSGI_WITH_THREADS, 0, b""))
    monkeypatch.setitem(sys.modules, "uwsgi", OldUWSGI())
    assert found() == []


def test_a_publisher_in_a_uwsgi_without_threads_says_so(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "uwsgi", OldUWSGI())
    ThreadPublisher()
    assert "Set enable-threads = true." in caplog.text
