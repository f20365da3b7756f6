"""What a host may have, or lack: every one receives a payment and applies it once."""

import textwrap

import django
import pytest

# Sends a forged webhook, a genuine one and that again, works, and looks.
PREPARE = """
from django.core.management import call_command
from django_payment_webhooks import testing
from django_payment_webhooks.conf import load, settings
from django_payment_webhooks.models import Event
from shop.models import Order

call_command("migrate", run_syncdb=True, verbosity=0)
Order.objects.create(number="A1")

def post(**given):
    fields = {"order_id": "A1", "provider_event_id": "evt_1", "charge_id": "ch_1", **given}
    return testing.post_event("charge.succeeded", **fields).status_code

def look(answers):
    (event,) = Event.objects.all()
    payments = Order.objects.get().payments
    tell({"answers": answers, "status": event.status, "payments": payments})
"""
STORY = (
    PREPARE
    + """
with testing.without_broker():
    answers = [post(forged=True), post(), post()]
    testing.run_due()
look(answers)
"""
)
HELD = {"answers": [401, 200, 200], "status": "processed", "payments": 1}

USERS = """
INSTALLED_APPS += ["django.contrib." + name for name in ("auth", "contenttypes", "sessions")]
MIDDLEWARE += [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
LOGIN_URL = "/login/"
"""
HOSTS = {
    "API only: no admin, no users, no sessions": "",
    "a transaction around each request": 'DATABASES["default"]["ATOMIC_REQUESTS"] = True',
    "no time zones": 'USE_TZ = False\nTIME_ZONE = "Europe/Berlin"',
    "a login that a middleware of its own requires": (
        USERS + 'MIDDLEWARE += ["middleware.RequireLogin"]'
    ),
    "keys of another type": (
        'DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"'
        if django.VERSION < (3, 2)
        else 'DEFAULT_AUTO_FIELD = "django.db.models.SmallAutoField"'
    ),
}
REQUIRE_LOGIN = """
from django.contrib.auth.views import redirect_to_login


class RequireLogin:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_view(self, request, view, args, kwargs):
        if request.user.is_authenticated or not getattr(view, "login_required", True):
            return None
        return redirect_to_login(request.path)
"""


@pytest.mark.parametrize("name", sorted(HOSTS))
def test_a_payment_is_received_and_applied_once(make_host, name):
    host = make_host(settings=HOSTS[name], middleware=REQUIRE_LOGIN)
    assert host.play(STORY) == HELD


def test_no_host_has_a_migration_to_make(make_host):
    host = make_host(settings=HOSTS["keys of another type"])
    done = host.manage("makemigrations", "payment_webhooks", "--check", "--dry-run")
    assert done.code == 0, done.printed + done.errors


@pytest.mark.skipif(django.VERSION < (5, 1), reason="Django has that middleware since 5.1.")
def test_a_login_that_django_itself_requires(make_host):
    middleware = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    host = make_host(settings=f'{USERS}\nMIDDLEWARE += ["{middleware}"]')
    assert host.play(STORY) == HELD


def test_eager_celery_applies_a_payment_while_its_webhook_is_answered(make_host):
    host = make_host(settings="CELERY_TASK_ALWAYS_EAGER = True")
    story = """
        answers = [post(forged=True), post(), post()]
        assert load(settings.PAYMENT_WEBHOOKS_PUBLISHER).flush(10)
        look(answers)
    """
    assert host.play(PREPARE + textwrap.dedent(story)) == HELD


# What the pool is for: many requests at once, and each gives its connection back.
TOGETHER = """
from concurrent.futures import ThreadPoolExecutor
from django.db import connection, connections

def post_one(number):
    try:
        return post(provider_event_id=f"evt_{number}", charge_id=f"ch_{number}")
    finally:
        connections.close_all()

with testing.without_broker():
    connection.close()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(post_one, range(24)))
    testing.run_due()
ends = sorted(Event.objects.values_list("status", flat=True))
pool = connection.pool.get_stats()
tell([set(answers) == {200}, ends.count("processed"), len(ends), pool["pool_size"] <= 2])
connection.close_pool()
"""


@pytest.mark.skipif(django.VERSION < (5, 1), reason="Django has pools since 5.1.")
def test_more_requests_than_the_pool_has_connections(make_host, postgres):
    pool = {"min_size": 1, "max_size": 2, "timeout": 20}
    host = make_host(
        settings=f"""
            DATABASES["default"] = {{**{postgres!r}, "OPTIONS": {{"pool": {pool}}}}}
            """
    )
    # One of them has the effect; the others are other payments of an order that is paid.
    assert host.play(PREPARE + TOGETHER) == [True, 1, 24, True]
