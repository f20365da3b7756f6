"""The view for load balancers: can this process store webhooks."""

import threading
import time

import pytest
from django.conf.urls import include
from django.db import OperationalError, connection, connections

from django_payment_webhooks.monitoring import health as module
from django_payment_webhooks.monitoring.health import ask_database, health
from django_payment_webhooks.monitoring.probes import Probe, Trial
from django_payment_webhooks.publisher import process
from django_payment_webhooks.urls import re_path

from ..doubles import another_connection
from ..factories import SECRET, EventFactory

pytestmark = pytest.mark.django_db(transaction=True)

urlpatterns = [
    re_path(r"^health$", health),
    re_path(r"^v1/webhooks/", include("django_payment_webhooks.urls")),
]


@pytest.fixture(autouse=True)
def own_probe(monkeypatch, settings):
    """Include the view, and share no trial with another test."""
    settings.ROOT_URLCONF = __name__
    monkeypatch.setattr(module, "database", Probe(ask_database))


@pytest.fixture
def get(client):
    """Ask for the health, and return the status and the body."""

    def get():
        response = client.get("/health")
        return response.status_code, response.json()

    return get


def test_a_process_that_can_store_webhooks_is_healthy(get):
    providers = {"default": True, "timed": True}
    assert get() == (200, {"status": "ok", "database": True, "providers": providers})


@pytest.mark.parametrize("secrets", [[], [""], ["short"], None])
def test_a_provider_without_a_usable_secret_is_not(get, settings, secrets):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        "default": {"SECRETS": [SECRET]},
        "other": {"SECRETS": secrets},
    }
    providers = {"default": True, "other": False}
    assert get() == (503, {"status": "unavailable", "database": True, "providers": providers})


@pytest.mark.parametrize(
    "options", [{"BACKEND": "no.such.Provider"}, {"SECRET": SECRET}, {"BACKEND": 3}]
)
def test_a_provider_that_can_not_be_loaded_is_not(get, settings, options):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": options}
    code, found = get()
    assert (code, found["providers"]) == (503, {"default": False})


def test_without_a_provider_nothing_can_be_stored(get, settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {}
    assert get()[0] == 503


def find_merchant(name):
    """Return the options of a merchant, one of whom has no secret."""
    return {"acme": {"SECRETS": [SECRET]}, "broken": {"SECRETS": []}}.get(name)


def test_merchants_that_a_function_knows_say_nothing_of_the_process(get, settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = f"{__name__}.find_merchant"
    assert get() == (200, {"status": "ok", "database": True, "providers": {}})
    for name in ("acme", "broken", "nobody"):
        settings.PAYMENT_WEBHOOKS_PROVIDERS.get(name)
    assert get() == (
        200,
        {"status": "ok", "database": True, "providers": {"acme": True, "broken": False}},
    )


def test_a_function_that_can_not_be_imported_is_no_provider(get, settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = f"{__name__}.no_such_function"
    assert get()[0] == 503


class Stranger:
    """A provider that does not derive from ours."""

    def __init__(self, name):
        pass


def test_a_provider_of_another_kind_is_taken_at_its_word(get, settings):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        "default": {"BACKEND": "tests.monitoring.test_health.Stranger"}
    }
    assert get()[0] == 200


def test_a_database_that_fails_is_reported(get, monkeypatch):
    def fail():
        raise OperationalError("The server has gone away.")

    monkeypatch.setattr(module, "database", Probe(fail))
    code, found = get()
    assert (code, found["database"], found["status"]) == (503, False, "unavailable")


def test_a_table_that_is_missing_is_reported(get):
    with connection.schema_editor() as editor:
        editor.execute("ALTER TABLE payment_webhooks_event RENAME TO elsewhere")
    try:
        assert get()[0] == 503
    finally:
        with connection.schema_editor() as editor:
            editor.execute("ALTER TABLE elsewhere RENAME TO payment_webhooks_event")
    assert get()[0] == 200


def test_a_database_that_can_only_be_read_is_reported(monkeypatch):
    statement = {
        "postgresql": "SET default_transaction_read_only = on",
        "mysql": "SET SESSION TRANSACTION READ ONLY",
        "sqlite": "PRAGMA query_only = on",
    }[connection.vendor]
    with another_connection() as other:
        with other.cursor() as cursor:
            cursor.execute(statement)
        default = connections["default"]
        connections["default"] = other
        try:
            with pytest.raises(Exception, match="(?i)read.?only|readonly"):
                ask_database()
        finally:
            connections["default"] = default


def count_trials():
    """Return how many threads wait for an answer."""
    return sum(isinstance(thread, Trial) for thread in threading.enumerate())


def test_a_silent_database_costs_its_bound_and_one_thread(get, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    monkeypatch.setattr(module, "database", Probe(lambda: go_on.wait(30)))
    before = count_trials()
    started = time.monotonic()
    for _ in range(3):
        code, found = get()
        assert (code, found["database"]) == (503, False)
    assert count_trials() <= before + 1  # those of earlier tests may have ended meanwhile
    assert module.database.trial.is_alive()
    assert time.monotonic() - started < 10
    go_on.set()
    for thread in threading.enumerate():
        if (
            thread.daemon
            and thread.name.startswith("Thread")
            and thread.is_alive()
            and hasattr(thread, "ask")
        ):
            thread.join(10)
    assert get()[0] == 200


def test_it_changes_no_row_and_leaves_no_connection_behind(get):
    event = EventFactory()
    assert get()[0] == 200
    event.refresh_from_db()
    assert event.version == 0


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch", "options"])
def test_it_is_for_reading_only(client, method):
    response = getattr(client, method)("/health")
    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")


def test_head_is_enough(client):
    response = client.head("/health")
    assert (response.status_code, response.content) == (200, b"")


def test_no_secret_is_shown_and_no_cache_keeps_it(client):
    response = client.get("/health")
    assert SECRET not in response.content.decode() + str(response.items())
    assert "no-store" in response["Cache-Control"]


def test_it_needs_no_login_and_opens_no_transaction(client, settings, monkeypatch):
    assert health.login_required is False
    seen = []
    monkeypatch.setattr(
        module, "has_secret", lambda name: seen.append(connection.in_atomic_block) or True
    )
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        assert client.get("/health").status_code == 200
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert seen == [False, False]


def test_a_broker_that_is_away_and_events_that_fail_are_no_reason_to_send_webhooks_elsewhere(
    get, monkeypatch
):
    def refuse(*args, **options):
        raise ConnectionRefusedError(111, "Connection refused")

    EventFactory(status="failed")
    with monkeypatch.context() as broken:
        for name in ("connection_for_write", "connection_for_read"):
            broken.setattr(type(process.app), name, refuse)
        assert get()[0] == 200
