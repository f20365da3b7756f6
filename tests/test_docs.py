"""The documentation: its files and commands work as they stand, and the reference has every public
name.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import hmac
import importlib
import json
import os
import pkgutil
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import django
import pytest
import requests
from appconf import AppConf
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.sites import AdminSite
from django.core.management import BaseCommand, load_command_class
from django.db import connection, models
from django.dispatch import Signal
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.module_loading import import_string

import django_payment_webhooks
from django_payment_webhooks import exceptions, publisher, signals, testing
from django_payment_webhooks.checks import check_providers
from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.handlers import Handler
from django_payment_webhooks.history.models import (
    AuditRecord,
    Cause,
    Conflict,
    CountedHour,
    Entry,
    Rejection,
    Sweep,
)
from django_payment_webhooks.history.receivers import VERBS
from django_payment_webhooks.models import Event
from django_payment_webhooks.operations.replay import replay
from django_payment_webhooks.providers import Provider, find_preset, hidden_names
from django_payment_webhooks.providers.declarative import FLAGS
from django_payment_webhooks.providers.sending import (
    Webhook,
    compose,
    forge_webhook,
    make_values,
    sign_webhook,
)
from django_payment_webhooks.sweeper import sweep

from .factories import OrderFactory
from .test_architecture import CORE, SOURCES, count_code_lines

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCS = os.path.join(ROOT, "docs")
BLOCK = re.compile(r"^```\{code-block\} (\w+)\n((?::[a-z]+: [^\n]*\n)*)(.*?)^```$", re.M | re.S)
IN_PLACE_OF_FIRST_LINE, AT_THE_END, ON_OLD_DJANGO = (
    ", in place of the first line",
    ", at the end",
    " on Django 1.11",
)


class Block(NamedTuple):
    """A block of code of a page."""

    language: str
    caption: str
    text: str


def read(*path):
    """Return a page of the documentation."""
    with open(os.path.join(DOCS, *path), encoding="utf-8") as page:
        return page.read()


def read_blocks(*path):
    """Return the blocks of code of a page."""
    return [
        Block(language, "".join(re.findall(r":caption: (.*)\n", options)).strip('"'), text)
        for language, options, text in BLOCK.findall(read(*path))
    ]


SCALE = read("explanation", "scale.md")


class Reader:
    """A reader who does what a page says, in a folder of their own."""

    def __init__(self, folder):
        self.folder, self.started, self.port = str(folder), [], find_port()
        self.environ = {
            name: os.environ[name]
            for name in ("LANG", "PATH", "PYTHONPATH", "TMPDIR")
            if name in os.environ
        }
        programs = os.path.join(self.folder, "bin")
        os.mkdir(programs)
        python = os.path.join(programs, "python")
        with open(python, "w", encoding="utf-8") as script:
            script.write(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        os.chmod(python, stat.S_IRWXU)
        path = os.pathsep.join([programs, self.environ["PATH"]])
        libraries = os.pathsep.join(filter(None, [self.environ.get("PYTHONPATH"), ROOT]))
        self.environ.update(PATH=path, PYTHONPATH=libraries, PYTHONUNBUFFERED="1", HOME=self.folder)

    def follow(self, block):
        """Do what one block says. Those that are no file and no command are for other tests."""
        text = block.text.replace("8000", str(self.port))
        if block.caption.startswith(("Not run", "recipe", "settings ")):
            return
        if block.language == "python":
            self.write(block.caption, text)
            return
        assert block.language == "console", block
        if block.caption.startswith("After Ctrl-C"):
            self.stop()
        for command, expected in read_commands(text):
            self.run(block.caption, command, expected)

    def write(self, caption, text):
        """Write a file, or change it, as the caption says."""
        name = caption.split(",")[0].split(" ")[0]
        path = os.path.join(self.folder, name)
        if caption.endswith(ON_OLD_DJANGO) and django.VERSION >= (2, 0):
            return
        if caption.endswith(AT_THE_END):
            text = self.read(path) + text
        elif caption.endswith(IN_PLACE_OF_FIRST_LINE):
            text += self.read(path).split("\n", 1)[1]
        else:
            assert caption in (name, name + ON_OLD_DJANGO), caption
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, path):
        """Return the content of a file."""
        with open(path, encoding="utf-8") as file:
            return file.read()

    def run(self, caption, command, expected):
        """Run a command, and compare what it prints with what the page shows."""
        if caption.endswith("terminal"):
            self.start(command)
            return
        if command.startswith("export "):
            name, _, value = command[len("export ") :].partition("=")
            self.environ[name] = value
            return
        patience = time.time() + (60 if caption == "A moment later" else 0)
        while True:
            code, printed = self.call(command)
            if not expected or code == 0 and matches(printed, expected) or time.time() > patience:
                break
            time.sleep(0.5)
        shown = f"$ {command}\n{printed}\n{self.logs()}"
        if expected:
            assert matches(printed, expected), f"{shown}\nexpected:\n{expected}"
        assert code == 0 or "ERROR" in expected or "E004" in expected, shown

    def call(self, command):
        """Run a command to its end."""
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=120,
        )
        return done.returncode, done.stdout

    def start(self, command):
        """Start a command that goes on, and wait until it is of use."""
        log = os.path.join(self.folder, f"terminal{len(self.started)}.log")
        with open(log, "w", encoding="utf-8") as output:
            process = subprocess.Popen(
                command,
                shell=True,
                cwd=self.folder,
                env=self.environ,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append((process, log))
        sign = "ready." if "worker" in command else "Quit the server"
        patience = time.time() + 60
        while sign not in self.read(log):
            assert process.poll() is None and time.time() < patience, self.logs()
            time.sleep(0.2)

    def logs(self):
        """Return what the commands that go on have printed."""
        return "\n".join(f"{log}:\n{self.read(log)}" for _, log in self.started)

    def stop(self):
        """Stop what was started."""
        for process, _ in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
        for process, _ in self.started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                pass
            finally:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                process.wait()
        self.started = []


def find_port():
    """Return a port that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def read_commands(text):
    """Return each command of a console block, and what it prints."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected.strip()


def matches(printed, expected):
    """Return whether every line is as expected; ``...`` is for any lines."""
    lines = [line.rstrip() for line in printed.strip().splitlines()]
    pattern = [
        re.escape(line.rstrip()) + "\n" if line != "..." else "(?:.*\n)*"
        for line in expected.splitlines()
    ]
    return bool(re.match("".join(pattern) + r"\Z", "".join(line + "\n" for line in lines)))


@pytest.fixture
def reader(tmp_path):
    """A reader who follows a page."""
    if connection.vendor != "sqlite":
        pytest.skip("The reader has a database of their own.")
    reader = Reader(tmp_path)
    yield reader
    reader.stop()


def test_tutorial_and_guides_work_as_they_stand(reader):
    for block in read_blocks("tutorial.md"):
        reader.follow(block)
    reader.stop()
    for page in ("handlers", "testing", "other-roads", "extensions"):
        for block in read_blocks("howto", page + ".md"):
            reader.follow(block)
    code, printed = reader.call("python manage.py check")
    assert code == 0, printed
    event = {"event_id": "evt_9", "type": "charge.succeeded", "data": {"order_id": "A1"}}
    lines = [
        "import events",
        "from orders.polling import receive_fetched",
        f"event = {event}",
        "print(receive_fetched(event), receive_fetched(event))",
    ]
    code, printed = reader.call(f"python -c {shlex.quote('; '.join(lines))}")
    assert printed.splitlines()[-1] == "True False", printed


# ---- code that is shown


def find_pages():
    """Return the path of every page that is written by hand, from the root."""
    pages = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
    for folder, folders, names in os.walk(DOCS):
        folders[:] = [name for name in folders if name not in ("_build", "providers")]
        pages += [
            os.path.relpath(os.path.join(folder, name), ROOT)
            for name in names
            if name.endswith(".md")
        ]
    return sorted(pages)


PAGES = find_pages()
PYTHON = re.compile(
    r"^```(?:\{code-block\} )?python\n((?::[a-z]+: [^\n]*\n)*)(.*?)^```$", re.M | re.S
)


def find_imported(page):
    """Yield the module and the name of all that a page's code imports from the app."""
    for _, text in PYTHON.findall(read(os.pardir, page)):
        for node in ast.walk(ast.parse(textwrap.dedent(text))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                django_payment_webhooks.__name__
            ):
                for alias in node.names:
                    yield node.module, alias.name


@pytest.mark.parametrize("page", PAGES)
def test_python_is_python_and_imports_what_is_public(page):
    public = read("reference", "index.md")
    for module, name in find_imported(page):
        if not hasattr(importlib.import_module(module), name):
            importlib.import_module(f"{module}.{name}")
        names = {f"`{name}`", f"`{module}.{name}`"}
        assert name in ALL_SIGNALS or any(each in public for each in names), name


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_a_file(page):
    text = read(os.pardir, page)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert os.path.exists(os.path.join(ROOT, os.path.dirname(page), target)), target


def evaluate(page, caption):
    """Return what a block sets: its value if it is one, else its variables."""
    (block,) = [block for block in read_blocks("howto", page) if block.caption == caption]
    variables = {"DATABASES": {"default": {}}}
    try:
        return eval(block.text, variables)
    except SyntaxError:
        exec(block.text, variables)
        return variables


BODY = {"event_id": "evt_1", "type": "charge.succeeded", "data": {"order_id": "A1"}}


def sign(key, content, encode=bytes.hex):
    """Return an HMAC-SHA256 as a header has it."""
    return encode(hmac.new(key, content, hashlib.sha256).digest())


def recipe_plain():
    body = {
        "id": 7,
        "event": "payment_done",
        "object": {"metadata": {"order": "A1"}, "invoice": "in_1"},
    }
    body = json.dumps(body).encode()
    headers = {"HTTP_X_PARTNER_HMAC": sign(b"a secret of sixteen bytes or more", body)}
    return headers, body, [("7", "charge.succeeded", "A1")], None


def recipe_timed():
    body = json.dumps(BODY).encode()
    now = str(int(time.time()))
    signature = sign(b"a secret of sixteen bytes or more", now.encode() + b"." + body)
    headers = {"HTTP_X_TIMED_SIGNATURE": f"t={now},v1={'0' * 64},v1={signature}"}
    return headers, body, [("evt_1", "charge.succeeded", "A1")], None


def recipe_standard():
    body = json.dumps({"type": "charge.succeeded", "data": {"order_id": "A1"}}).encode()
    now = str(int(time.time()))
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    content = b"msg_1." + now.encode() + b"." + body
    signature = sign(key, content, lambda mac: base64.b64encode(mac).decode())
    headers = {
        "HTTP_WEBHOOK_ID": "msg_1",
        "HTTP_WEBHOOK_TIMESTAMP": now,
        "HTTP_WEBHOOK_SIGNATURE": "v1," + signature,
    }
    return headers, body, [("msg_1", "charge.succeeded", "A1")], None


def recipe_batch():
    body = json.dumps(
        {"items": [{"event": BODY}, {"event": dict(BODY, event_id="evt_2")}]}
    ).encode()
    headers = {"HTTP_X_SIGNATURE": sign(b"a secret of sixteen bytes or more", body)}
    return (
        headers,
        body,
        [(name, "charge.succeeded", "A1") for name in ("evt_1", "evt_2")],
        b"[accepted]",
    )


def recipe_composed():
    payment = {"id": "p1", "status": "paid", "metadata": {"order": "A1"}}
    payment.update(amount=1000, currency="eur")
    body = json.dumps({"event": "payment", "object": payment}).encode()
    headers = {"HTTP_X_SIGNATURE": sign(b"a secret of sixteen bytes or more", body)}
    return headers, body, [("payment:p1:paid", "charge.succeeded", "A1")], None


def recipe_form():
    content = b"7:10.00:A1:a secret of sixteen bytes or more"
    token = hashlib.sha256(content).hexdigest()
    body = f"Operation=7&Sum=10.00&Invoice=A1&Paid=23.11.2026+12%3A00&Sign={token}".encode()
    return {}, body, [("7", "charge.succeeded", "A1")], b"OKA1"


RECIPES = [recipe_plain, recipe_timed, recipe_standard, recipe_batch, recipe_composed, recipe_form]


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_of_providers_are_accepted_and_forgeries_refused(recipe):
    provider = Provider("recipe", **evaluate("providers.md", recipe.__name__.replace("_", " ")))
    headers, body, expected, answer = recipe()
    assert provider.verify(headers, body)
    events = provider.parse(headers, body)
    assert [(event.provider_event_id, event.type, event.order_id) for event in events] == expected
    if answer:
        assert provider.answer(events).content == answer
    for changed in (body + b" ", body.replace(b"A1", b"B1")):
        with pytest.raises(WebhookRefused):
            provider.verify(headers, changed)
    sent = sign_webhook(
        provider, compose(provider, make_values(provider, "charge.succeeded", order_id="A1"))
    )
    assert provider.verify(sent.meta, sent.body)
    assert [event.order_id for event in provider.parse(sent.meta, sent.body)] == ["A1"]


def test_recipe_without_an_id_distinguishes_stages_and_reads_the_money():
    provider = Provider("recipe", **evaluate("providers.md", "recipe composed"))
    refund = {"id": "r1", "status": "queued", "payment": "p1", "amount": 400, "currency": "eur"}
    queued, done = [
        provider.parse({}, json.dumps({"event": "refund", "object": each}).encode())[0]
        for each in (refund, dict(refund, status="done"))
    ]
    assert [queued.type, done.type] == ["refund", "refund.created"]
    assert queued.dedup_key != done.dedup_key
    assert (done.order_id, done.payment_id) == ("", "p1")
    assert str(provider.read_money(provider.payload(done.body))) == "4.00 EUR"


def test_recipe_of_a_form_reads_the_time_in_its_zone():
    provider = Provider("recipe", **evaluate("providers.md", "recipe form"))
    (event,) = provider.parse({}, recipe_form()[1])
    assert event.occurred_at.isoformat() == "2026-11-23T09:00:00+00:00"


class Environment:
    """The environment of a project that has every secret."""

    def list(self, name):
        """Return a new secret."""
        return [hashlib.sha256(name.encode()).hexdigest()]

    def bool(self, name, default):
        """Return what is meant if nothing is said."""
        return default


def read_code(caption, **variables):
    """Return what a block of the page about providers sets."""
    blocks = {block.caption: block for block in read_blocks("howto", "providers.md")}
    exec(blocks[caption].text, variables)
    return variables


def make_shop(monkeypatch, **functions):
    """Put functions into a module shop.<name> each."""
    for path, function in functions.items():
        module = ModuleType(f"shop.{path}")
        setattr(module, function.__name__, function)
        monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.mark.parametrize("caption", ["preset", "accounts", "confirmation", "addresses"])
def test_settings_of_providers_pass_the_check(caption, settings, monkeypatch):
    make_shop(monkeypatch, payments=read_code("shop/payments.py")["confirm_yookassa"])
    shown = read_code(f"settings {caption}", env=Environment())
    settings.PAYMENT_WEBHOOKS_PROVIDERS = shown["PAYMENT_WEBHOOKS_PROVIDERS"]
    assert [each.msg for each in check_providers(None) if each.level >= 40] == []
    for name in settings.PAYMENT_WEBHOOKS_PROVIDERS:
        assert get_provider(name).name == name


def test_the_check_refuses_two_endpoints_that_do_not_say_whose_they_are(settings):
    shown = read_code("settings accounts", env=Environment())["PAYMENT_WEBHOOKS_PROVIDERS"]
    for options in shown.values():
        del options["ACCOUNT"]
    settings.PAYMENT_WEBHOOKS_PROVIDERS = shown
    assert "payment_webhooks.E026" in [each.id for each in check_providers(None)]


def test_confirmation_asks_for_the_object_and_believes_the_answer(settings, monkeypatch):
    shown = read_code("shop/payments.py")
    settings.YOOKASSA_SHOP, settings.YOOKASSA_KEY = "shop", "key"
    asked = []

    def get(url, auth, timeout):
        asked.append((url, auth))
        answer = requests.Response()
        answer.status_code, answer._content = 200, b'{"id": "p/1", "status": "pending"}'
        return answer

    monkeypatch.setattr(requests, "get", get)
    sent = {"event": "payment.succeeded", "object": {"id": "p/1", "status": "succeeded"}}
    confirmed = shown["confirm_yookassa"](Event(body=json.dumps(sent).encode(), provider="default"))
    assert asked == [("https://api.yookassa.ru/v3/payments/p%2F1", ("shop", "key"))]
    provider = find_preset("yookassa")("yookassa")
    assert provider.read_types(confirmed)[0] != "charge.succeeded"
    assert provider.read_types(sent)[0] == "charge.succeeded"


def test_providers_of_a_function_are_as_shown(settings, monkeypatch):
    merchants = {"acme": SimpleNamespace(slug="acme", webhook_secret="whsec_of_acme_and_nobody")}
    manager = SimpleNamespace(
        filter=lambda slug: SimpleNamespace(first=lambda: merchants.get(slug))
    )
    make_shop(monkeypatch, models=type("Merchant", (), {"objects": manager}))
    module = ModuleType("shop.merchants")
    module.__package__ = "shop"
    blocks = {block.caption: block for block in read_blocks("howto", "providers.md")}
    exec(blocks["shop/merchants.py"].text, vars(module))
    monkeypatch.setitem(sys.modules, "shop.merchants", module)
    shown = read_code("settings function")
    settings.PAYMENT_WEBHOOKS_PROVIDERS = shown["PAYMENT_WEBHOOKS_PROVIDERS"]
    provider = get_provider("acme")
    assert (provider.shop, provider.signature_header) == ("acme", "Stripe-Signature")
    with pytest.raises(KeyError):
        get_provider("nobody")


def test_provider_class_is_as_shown():
    (block,) = [
        block
        for block in read_blocks("howto", "providers.md")
        if block.caption == "orders/providers.py"
    ]
    variables = {}
    exec(block.text, variables)
    provider = variables["Odd"]("odd", SECRETS=["x" * 16])
    body = json.dumps({"type": "charge.succeeded", "event_id": "evt_1"}).encode()
    signature = sign(b"x" * 16, b"event_id=evt_1&type=charge.succeeded")
    assert provider.verify({"HTTP_X_ODD": signature}, body)
    assert provider.parse({}, body)[0].type == "charge.succeeded"
    with pytest.raises(WebhookRefused):
        provider.verify({"HTTP_X_ODD": signature}, body.replace(b"evt_1", b"evt_2"))
    (unparsed,) = provider.parse({}, b'{"event_id": "evt_1"}')
    assert (unparsed.type, unparsed.status) == ("", "failed")


def test_provider_class_without_signatures_is_as_shown():
    blocks = {block.caption: block for block in read_blocks("howto", "providers.md")}
    variables = {}
    exec(blocks["orders/tokens.py"].text, variables)
    provider = variables["TokenPartner"]("partner", TOKEN="a token")
    body = json.dumps(BODY).encode()
    for headers in ({}, {"HTTP_X_TOKEN": ""}, {"HTTP_X_TOKEN": "a"}, {"HTTP_X_TOKEN": "\u00e9"}):
        with pytest.raises(WebhookRefused):
            provider.verify(headers, body)
        with pytest.raises(WebhookRefused):
            variables["TokenPartner"]("partner").verify(headers, body)
    assert provider.verify({"HTTP_X_TOKEN": "a token"}, body) == "token"
    signed = sign_webhook(provider, Webhook(body, {}))
    assert provider.verify(signed.meta, body) == "token"
    forged = forge_webhook(provider, Webhook(body, {}))
    with pytest.raises(WebhookRefused):
        provider.verify(forged.meta, body)


@pytest.fixture
def front_page(settings, monkeypatch):
    """A project with the settings and the handler of the front page."""
    blocks = {block.caption: block.text for block in read_blocks("index.md")}
    shown = {"INSTALLED_APPS": []}
    monkeypatch.setenv("STRIPE_SECRETS", "whsec_of_the_front_page")
    exec(blocks["mysite/settings.py, at the end"], shown)
    assert shown["INSTALLED_APPS"] == ["django_payment_webhooks"]
    install_handlers(monkeypatch, settings, blocks["shop/handlers.py"])
    settings.PAYMENT_WEBHOOKS_HANDLERS = shown["PAYMENT_WEBHOOKS_HANDLERS"]
    settings.PAYMENT_WEBHOOKS_PROVIDERS = shown["PAYMENT_WEBHOOKS_PROVIDERS"]


def install_handlers(monkeypatch, settings, code):
    """Have the shop's orders paid by the handler that a page shows."""
    shown = {"__name__": "shop.shown", "__package__": "shop"}
    exec(code, shown)
    monkeypatch.setattr("shop.handlers.MarkOrderPaid", shown["MarkOrderPaid"])
    settings.PAYMENT_WEBHOOKS_HANDLERS = {"charge.succeeded": "shop.handlers.MarkOrderPaid"}


def test_front_page_pays_an_order_once(front_page, payment_webhooks, db):
    order = OrderFactory(amount="25.00")
    sent = {"provider": "stripe", "order_id": order.pk, "amount": "25.00"}
    assert payment_webhooks.post_event("charge.succeeded", forged=True, **sent).status_code == 401
    assert not Event.objects.exists()
    for number in (1, 2):
        answer = payment_webhooks.post_event("charge.succeeded", provider_event_id="e1", **sent)
        assert (number, answer.status_code) == (number, 200)
    (event,) = payment_webhooks.run_due()
    order.refresh_from_db()
    assert (event.status, order.paid_at) == (Event.PROCESSED, event.occurred_at)


def test_front_page_waits_for_an_order_and_refuses_another_sum(front_page, payment_webhooks, db):
    order = OrderFactory(amount="25.00")
    for order_id, amount in ((order.pk, "24.99"), ("later", "25.00")):
        payment_webhooks.post_event("charge.succeeded", "stripe", order_id=order_id, amount=amount)
    short, early = sorted(payment_webhooks.run_due(), key=lambda event: event.pk)
    assert (short.status, early.status) == (Event.FAILED, Event.WAITING)
    order.refresh_from_db()
    assert order.paid_at is None


def test_handler_of_a_move_skips_what_the_old_view_has_paid(
    settings, monkeypatch, payment_webhooks, db
):
    blocks = {block.caption: block.text for block in read_blocks("howto", "from-a-view.md")}
    install_handlers(monkeypatch, settings, blocks["shop/handlers.py"])
    done, undone = OrderFactory(paid_at=timezone.now()), OrderFactory()
    for order in (done, undone):
        payment_webhooks.post_event(
            "charge.succeeded",
            order_id=order.pk,
            amount=str(order.amount),
            currency=order.currency,
        )
    payment_webhooks.run_due()
    before = done.paid_at
    for order in (done, undone):
        order.refresh_from_db()
    events = {event.order_id: event.status for event in Event.objects.all()}
    assert events == {done.pk: Event.IGNORED, undone.pk: Event.PROCESSED}
    assert done.paid_at == before
    assert undone.paid_at is not None


def test_the_old_path_of_a_view_can_lead_to_the_app(settings, payment_webhooks, db):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"acme": {"SECRETS": ["x" * 32]}}
    code = next(text for _, text in PYTHON.findall(read("howto", "from-a-view.md")))
    old = ModuleType("old_urls")
    exec(code if django.VERSION >= (2, 0) else "urlpatterns = []", vars(old))
    if not old.urlpatterns:
        pytest.skip("path() is of Django 2.0.")
    settings.ROOT_URLCONF = old
    answer = payment_webhooks.post_event("charge.succeeded", "acme", path="/hooks/acme/")
    assert (answer.status_code, Event.objects.get().provider) == (200, "acme")


def test_settings_of_brokers_bound_every_wait():
    rabbitmq = evaluate("production.md", "settings for RabbitMQ")
    redis = evaluate("production.md", "settings for Redis")
    for found in (rabbitmq, redis):
        assert found["CELERY_BROKER_CONNECTION_TIMEOUT"] == 1
        options = found["CELERY_BROKER_TRANSPORT_OPTIONS"]
        assert options["max_retries"] == 1
        assert options["interval_max"] == 0.1
    assert rabbitmq["CELERY_BROKER_TRANSPORT_OPTIONS"]["read_timeout"] == 1
    assert redis["CELERY_BROKER_TRANSPORT_OPTIONS"]["socket_timeout"] == 1


def test_time_limits_are_shorter_than_the_lease(settings):
    found = evaluate("production.md", "settings for a queue of its own")
    limits = (
        found["CELERY_TASK_SOFT_TIME_LIMIT"],
        found["CELERY_TASK_TIME_LIMIT"],
        defaults()["PAYMENT_WEBHOOKS_LEASE"],
    )
    assert sorted(set(limits)) == list(limits)


def test_the_task_for_beat_exists():
    (entry,) = evaluate("sweep.md", "settings for beat")["CELERY_BEAT_SCHEDULE"].values()
    assert entry["task"] in publisher.process.app.tasks


def test_log_is_configured_for_the_logger_that_is_used():
    found = evaluate("production.md", "settings for the log")
    (name,) = found["LOGGING"]["loggers"]
    assert f'getLogger("{name}")' in SOURCES["logging"]


def test_the_list_of_the_admin_can_be_sent_to_a_replica(monkeypatch):
    (block,) = [
        block
        for block in read_blocks("explanation", "scale.md")
        if block.caption == "shop/admin.py"
    ]
    site = AdminSite()
    site.register(Event)
    monkeypatch.setattr(admin, "site", site)
    exec(block.text, {})
    lists = site._registry[Event]
    aliases = [
        lists.get_queryset(request).db
        for request in (RequestFactory().get("/"), RequestFactory().post("/"))
    ]
    assert aliases == ["replica", "default"]


class CountingHandler(Handler):
    """A handler that reads its event, and does nothing else."""

    def apply(self, event):
        assert event.payload


class DeliveringHandler(CountingHandler):
    """One that delivers, too."""

    def deliver(self, event):
        pass


def count_statements(function, *args, **kwargs):
    """Return how many statements of SQL a call makes."""
    with CaptureQueriesContext(connection) as found:
        function(*args, **kwargs)
    return len(found)


@pytest.mark.skipif(django.VERSION < (4, 2), reason="Django does not count BEGIN and COMMIT.")
@pytest.mark.django_db(transaction=True)
def test_an_event_costs_as_many_statements_as_the_page_about_scale_says(payment_webhooks, settings):
    row = re.search(r"^\| statements \| (\d+).*?\| (\d+).*?\| (\d+) \|$", SCALE, re.M)
    received, processed, together = [int(number) for number in row.groups()]
    assert received + processed == together
    settings.PAYMENT_WEBHOOKS_HANDLERS = {
        "plain": f"{__name__}.CountingHandler",
        "delivered": f"{__name__}.DeliveringHandler",
    }
    for name, more in (("plain", 0), ("delivered", 2)):
        sent = {"provider_event_id": name, "created_at": "2026-11-23T12:00:00Z"}
        post = partial(payment_webhooks.post_event, name, order_id="A1", **sent)
        assert count_statements(post) == received
        # A message has one query of its own, however many events it names.
        (key,) = testing.find_due()
        assert count_statements(publisher.process, [key]) == 1 + processed + more
        assert Event.objects.get(pk=key).status == Event.PROCESSED
        assert count_statements(post) == 1


# ---- the reference

ALL_SIGNALS = {name: value for name, value in vars(signals).items() if isinstance(value, Signal)}
ALL_SIGNALS["events_missing"] = publisher.events_missing


def listed(*path):
    """Return what a page lists: the names that begin a row of a table, or a definition."""
    return set(re.findall(r"^(?:\| )?`([^`\n]+)`(?: \||\n)", read(*path), re.M))


def rows(*path):
    """Return the rows of a page's tables, as lists of cells without their marks."""
    lines = re.findall(r"^\| (`.*) \|$", read(*path), re.M)
    return [[cell.strip("`") for cell in line.split(" | ")] for line in lines]


def conf_classes():
    """Return the classes that have the app's settings."""
    package = django_payment_webhooks
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if ".migrations" not in module.name:
            importlib.import_module(module.name)
    return [
        conf
        for conf in AppConf.__subclasses__()
        if conf.__module__.startswith(package.__name__ + ".")
    ]


def defaults():
    """Return the settings and their defaults."""
    return {
        name: default for conf in conf_classes() for name, default in conf._meta.defaults.items()
    }


def test_every_setting_is_listed():
    assert {
        name for name in listed("reference", "settings.md") if name.startswith("PAYMENT_")
    } == set(defaults())


def test_every_default_is_right():
    shown = {cells[0]: ast.literal_eval(cells[1]) for cells in rows("reference", "settings.md")}
    assert len(shown) > 10
    assert shown == {name: defaults()[name] for name in shown}


def test_every_module_that_loads_and_every_extension_is_listed():
    page = listed("howto", "extensions.md")
    loaded = re.search(r"plugins = \(([^)]*)\)", SOURCES["apps"]).group(1)
    adapters = {name for name in SOURCES if re.match(r"contrib\.\w+$", name)}
    # The broker is named in CELERY_BROKER_TRANSPORT.
    adapters -= {"contrib.__init__", "contrib.folders"}
    adapters |= {
        name[: -len(".__init__")] for name in SOURCES if re.match(r"contrib\.\w+\.__init__$", name)
    }
    names = {*re.findall(r'"([\w.]+)"', loaded), *adapters}
    assert page == {f"django_payment_webhooks.{name}" for name in names}
    assert defaults()["PAYMENT_WEBHOOKS_EXTENSIONS"] == []


@pytest.mark.parametrize(
    ("page", "caption"),
    [
        ("monitoring.md", "settings for metrics"),
        ("tracing.md", "settings for traces"),
    ],
)
def test_settings_of_extensions_name_what_can_be_imported(page, caption):
    pytest.importorskip("opentelemetry.trace" if "tracing" in page else "prometheus_client")
    found = evaluate(page, caption)
    for path in found["PAYMENT_WEBHOOKS_EXTENSIONS"]:
        importlib.import_module(path)
    if "PAYMENT_WEBHOOKS_PUBLISHER" in found:
        assert issubclass(
            import_string(found["PAYMENT_WEBHOOKS_PUBLISHER"]), publisher.ThreadPublisher
        )


def test_every_signal_is_listed():
    assert listed("reference", "signals.md") == set(ALL_SIGNALS)


def read_arguments():
    """Return what the page of the signals says about each, and about all of its section."""
    texts = {}
    for section in read("reference", "signals.md").split("\n## ")[1:]:
        head, *parts = re.split(r"^`(\w+)`\n: ", section, flags=re.M)
        texts.update((name, head + text) for name, text in zip(parts[::2], parts[1::2]))
    return texts


def send_every_signal(webhook, run_due, monkeypatch):
    """Have something happen that each signal reports."""

    def fail(handler, event):
        raise OSError

    def lose(handler, event):
        Event.objects.filter(pk=event.pk).update(version=100)
        raise OSError

    refund = {"type": "refund.created", "order_id": "A1", "refund_id": "re_1", "event_id": "early"}
    charge = {"order_id": "A1", "amount": "10.00", "currency": "EUR"}
    webhook(**refund, amount="1.00")
    webhook(**refund, amount="2.00")
    run_due()
    monkeypatch.setattr("shop.handlers.MarkOrderPaid.deliver", fail)
    webhook(**charge, event_id="paid")
    run_due()
    webhook(order_id="A1", event_id="unknown", type="unknown")
    webhook(**charge, event_id="paid again")
    webhook(body=b"{}")
    run_due()
    assert replay(Event.objects.get(provider_event_id="unknown"))
    monkeypatch.undo()
    Event.objects.filter(status="applied").update(due_at=0)
    run_due()
    monkeypatch.setattr("shop.handlers.MarkOrderPaid.deliver", lose)
    webhook(**dict(charge, order_id="A2"), event_id="lost")
    run_due()
    sweep(print)


def test_signals_have_the_arguments_that_are_listed(
    webhook, order, run_due, received_signals, monkeypatch
):
    OrderFactory(id="A2")
    send_every_signal(webhook, run_due, monkeypatch)
    Told = type(received_signals[0])
    received_signals.append(Told("enqueue_failed", {"sender": Event, "error": OSError()}))
    received_signals.append(Told("events_missing", {"sender": Event, "keys": [1]}))
    texts = read_arguments()
    assert {told.name for told in received_signals} == set(texts)
    for told in received_signals:
        for argument in set(told.facts) - {"sender", "event"}:
            assert f"`{argument}`" in texts[told.name], told


def test_every_metric_is_listed_with_its_type_and_labels(db):
    prometheus_client = pytest.importorskip("prometheus_client")
    exposition = importlib.import_module("django_payment_webhooks.contrib.prometheus.exposition")
    importlib.import_module("django_payment_webhooks.contrib.prometheus.metrics")
    families = [
        *prometheus_client.REGISTRY.collect(),
        *exposition.CountersCollector(True).collect(),
        *exposition.BacklogCollector().collect(),
    ]
    found = {
        family.name: family for family in families if family.name.startswith("payment_webhooks_")
    }
    shown = {cells[0]: cells[1:3] for cells in rows("reference", "metrics.md")}
    assert {name: kind for name, (kind, _) in shown.items()} == {
        name: each.type for name, each in found.items()
    }
    for name, family in found.items():
        for each in family.samples:
            assert set(each.labels) - {"le"} == set(shown[name][1].split(", ")) - {"none"}, each


def test_every_check_is_listed():
    sources = "".join(SOURCES.values())
    names = re.findall(r'PREFIX \+ "([EW]\d+)"', sources)
    ids = {f"payment_webhooks.{name}" for name in names}
    assert listed("reference", "checks.md") == ids
    for cells in rows("reference", "checks.md"):
        assert cells[1] == {"E": "Error", "W": "Warning"}[cells[0].split(".")[1][0]]
        assert all(cells[2:4])


def find_options(command, name):
    """Return the options of a command."""
    actions = command.create_parser("manage.py", name)._actions
    return {option for action in actions for option in action.option_strings}


def test_every_command_is_listed_with_its_options():
    page = read("reference", "commands.md")
    modules = [name for name in SOURCES if re.match(r"management\.commands\.[a-z]", name)]
    for name in [module.split(".")[-1] for module in modules]:
        assert f"## {name}\n" in page
        own = find_options(load_command_class("django_payment_webhooks", name), name)
        for option in own - find_options(BaseCommand(), name):
            assert re.search(rf"^`{option}[ `]", page, re.M), option


def test_every_task_is_listed():
    tasks = {name for name in publisher.process.app.tasks if name.startswith("payment_webhooks.")}
    assert {cells[0] for cells in rows("reference", "commands.md")} == tasks


def test_every_status_and_column_is_listed():
    statuses = set(Event.TRANSITIONS)
    columns = {field.name for field in Event._meta.get_fields() if isinstance(field, models.Field)}
    assert {cells[0] for cells in rows("reference", "events.md")} == statuses | columns
    tables = {
        model._meta.db_table for model in apps.get_app_config("payment_webhooks").get_models()
    }
    page = read("reference", "events.md")
    assert set(re.findall(r"`(payment_webhooks_\w+)`", page)) == tables
    drawn = read("explanation", "life-of-an-event.svg")
    assert all(f'">{status}</text>' in drawn for status in statuses)


def test_every_table_column_and_verb_of_the_history_is_listed():
    page = read("reference", "history.md")
    shown = {cells[0] for cells in rows("reference", "history.md")}
    tables = {
        model._meta.db_table
        for model in (AuditRecord, Cause, Conflict, CountedHour, Entry, Rejection, Sweep)
    }
    columns = {field.name for model in (Cause, Entry) for field in model._meta.fields} - {"id"}
    assert shown == tables | columns
    assert all(f"`{verb}`" in page for verb in VERBS)


def test_every_picture_is_shown_and_exists():
    pictures = set(os.listdir(os.path.join(DOCS, "images")))
    text = "".join(read(os.pardir, page) for page in PAGES)
    assert set(re.findall(r"images/([\w-]+\.png)", text)) == pictures


def test_final_and_replayable_statuses_are_right():
    shown = {cells[0]: cells[2:4] for cells in rows("reference", "events.md") if len(cells) == 4}
    module = importlib.import_module("django_payment_webhooks.operations.replay")
    final = {Event.PROCESSED, Event.DUPLICATE, Event.IGNORED, Event.FAILED}
    yes = {True: "yes", False: "no"}
    assert shown == {s: [yes[s in final], yes[s in module.REPLAYABLE]] for s in Event.TRANSITIONS}


def provider_attributes():
    """Return the public attributes of a provider."""
    return {name: getattr(Provider, name) for name in dir(Provider) if not name.startswith("_")}


def test_every_option_of_a_provider_is_listed_with_its_default():
    options = {
        name.upper(): value
        for name, value in provider_attributes().items()
        if not callable(value) and name not in FLAGS
    }
    fields = options.pop("FIELDS")
    cells = rows("reference", "providers.md")
    shown = {row[0]: row[1] for row in cells if row[0].isupper()}
    assert shown.pop("FIELDS") == "see below"
    assert {name: ast.literal_eval(value) for name, value in shown.items()} == options
    assert {row[0]: row[1] for row in cells if row[0] in fields} == fields
    flags = {row[0]: ast.literal_eval(row[1]) for row in cells if row[0] in FLAGS}
    assert flags == {name: getattr(Provider, name) for name in FLAGS}


def test_every_method_of_a_provider_and_a_handler_is_listed():
    methods = {name for name, value in provider_attributes().items() if callable(value)}
    assert (
        set(re.findall(r"automethod:: [\w.]+\.(\w+)", read("reference", "providers.md"))) == methods
    )
    methods = {
        name
        for name in dir(Handler)
        if not name.startswith("_") and callable(getattr(Handler, name))
    }
    assert methods <= listed("reference", "handlers.md")


def test_every_handler_is_listed_with_its_key():
    derived = re.compile(r"^class (\w+)\((?:Order|Stage)Handler\[OrderT\]\)", re.M)
    names = derived.findall(SOURCES["payments"])
    assert len(names) == 9
    for name in set(names) - {"StageHandler"}:
        assert name in listed("reference", "handlers.md")
        assert f"`{name}`" in read("reference", "index.md")


def test_everything_for_the_hosts_tests_is_listed():
    shown = re.findall(
        r"autofunction:: django_payment_webhooks\.testing\.(\w+)", read("reference", "testing.md")
    )
    assert sorted(shown) == sorted(testing.__all__)
    assert all(f"`{name}`" in read("reference", "index.md") for name in shown)
    fixtures = re.findall(r"^@pytest\.fixture\ndef (\w+)", SOURCES["pytest_plugin"], re.M)
    assert listed("reference", "testing.md") == set(fixtures)


def test_every_reason_for_a_401_is_explained():
    explained = {name for cells in rows("howto", "401.md") for name in cells[0].split("`, `")}
    assert (
        explained
        == set(re.findall(r"^\| 401 \| `(\w+)` \|", read("reference", "http.md"), re.M))
        != set()
    )


def test_every_exception_is_listed():
    page = read("reference", "exceptions.md")
    names = [name for name, value in vars(exceptions).items() if isinstance(value, type)]
    for name in names:
        assert f".{name}\n" in page or f"| `{name}` |" in page


def test_every_answer_is_listed():
    raised = re.compile(r"\b(?:WebhookRefused|ParseError|refuse)\((?:[\w.]+, )?([^)]*)\)")
    calls = [call for source in SOURCES.values() for call in raised.findall(source)]
    reasons = {
        reason for call in calls for reason in re.findall(r'"([a-z_]+)"', call.partition(",")[0])
    }
    shown = re.findall(r"^\| \d+ \| `(\w+)` \|", read("reference", "http.md"), re.M)
    assert sorted(shown) == sorted(reasons)


# ---- what is explained


def test_every_promise_has_tests_that_exist():
    text = read("explanation", "guarantees.md")
    defined = set()
    for folder, _, names in os.walk(os.path.dirname(os.path.abspath(__file__))):
        for name in [name for name in names if name.endswith(".py")]:
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                defined |= set(re.findall(r"^ *def (test_\w+)", file.read(), re.M))
    promises = re.split(r"^## \d\. ", text, flags=re.M)[1:]
    assert len(promises) == 8
    for promise in promises:
        named = set(re.findall(r"`(test_\w+)`", promise))
        assert named
        assert named <= defined


def count_lines_below(name):
    """Return how many lines of code a module has, or a folder with all that is in it."""
    prefix = name[: -len(".py")] if name.endswith(".py") else name.rstrip("/")
    inside = [
        module for module in SOURCES if f"{module.replace('.', '/')}/".startswith(f"{prefix}/")
    ]
    return sum(count_code_lines(SOURCES[module]) for module in inside)


def test_lines_of_the_core_are_counted_right():
    page = read("explanation", "design.md")
    counts = {f"{name}.py": count_code_lines(SOURCES[name]) for name in CORE}
    expected = [f"| `{name}` | {count} |" for name, count in counts.items()]
    expected += [f"| **together** | **{sum(counts.values())}** |"]
    missing = [line for line in expected if line not in page]
    assert not missing, "\n".join(missing)


def test_lines_beside_the_core_are_counted_about_right():
    page = read("explanation", "design.md")
    core = {f"{name}.py" for name in CORE}
    shown = dict(re.findall(r"^\| `([\w.]+\.py|\w+/)` \| (\d+) \|", page, re.M))
    rooms = {name.split(".")[0] for name in SOURCES} - {name[: -len(".py")] for name in core}
    assert {re.sub(r"\.py|/", "", name) for name in set(shown) - core} == rooms
    counts = {name: count_lines_below(name) for name in set(shown) - core}
    # About right: within a tenth.
    wrong = {
        name: count
        for name, count in counts.items()
        if abs(count - int(shown[name])) > max(10, count / 10)
    }
    assert not wrong


def test_every_room_is_on_the_page_and_in_the_drawing_of_the_architecture():
    page = read("explanation", "architecture.md")
    drawing = read("explanation", "architecture.svg")
    rooms = {name.split(".")[0] for name in SOURCES} - {"__init__"}
    named = {name for cell in re.findall(r"^\| (`.*?) \|", page, re.M) for name in cell.split(", ")}
    assert {name.strip("`") for name in named} == rooms
    drawn = set(re.findall(r"\w+", " ".join(re.findall(r">([^<]+)</text>", drawing))))
    assert rooms - drawn <= {"pytest_plugin", "templatetags"}


def test_design_has_three_metrics_and_at_most_ten_next_steps():
    design = read("explanation", "design.md")
    reference = read("reference", "metrics.md")
    metrics = re.findall(r"^`(payment_webhooks_\w+)`", design, re.M)
    assert len(metrics) == 3
    for metric in metrics:
        name = re.sub("_total$", "", metric)
        assert f"`{name}`" in reference
    steps = design.split("## Next steps before real production")[1]
    assert 1 <= len(re.findall(r"^\d+\. ", steps, re.M)) <= 10


def test_readme_is_short_and_its_commands_exist():
    readme = read(os.pardir, "README.md")
    assert len(readme.splitlines()) <= 120
    commands = {
        node.value for node in ast.walk(ast.parse(read(os.pardir, "dev.py"))) if is_text(node)
    }
    for command in ("demo", "test"):
        assert f"$ python3 dev.py {command}\n" in readme
        assert command in commands


def is_text(node):
    """Return whether a node of a syntax tree is a text."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_changelog_has_the_version():
    assert f"## [{django_payment_webhooks.__version__}]" in read(os.pardir, "CHANGELOG.md")


def read_lines_of_tox():
    """Return the versions of Django that tox runs on each Python."""
    lines = re.findall(r"^    py3(\d+)-dj(?:\{([\d,]+)\}|(\d+))", read(os.pardir, "tox.ini"), re.M)
    tested = {}
    for python, several, single in lines:
        versions = {f"{dj[0]}.{dj[1:]}" for dj in (several or single).split(",")}
        tested.setdefault(f"3.{python}", set()).update(versions)
    return tested


def test_readme_names_the_versions_that_are_tested():
    pattern = r"^\| (3\.\d+) \| ([\d., ]+) \| ([\d.]+) \|$"
    shown = re.findall(pattern, read(os.pardir, "README.md"), re.M)
    tested = read_lines_of_tox()
    assert {python: set(djangos.split(", ")) for python, djangos, _ in shown} == tested
    for python, _, celery in shown:
        constraints = read(os.pardir, "constraints", f"py{python.replace('.', '')}.txt")
        assert re.search(rf"^celery=={re.escape(celery)}\.", constraints, re.M), python


def test_workflow_runs_every_python_that_tox_has():
    workflow = read(os.pardir, ".github", "workflows", "ci.yml")
    run = {f"3.{minor}" for minor in re.findall(r"-f py3(\d+) ", workflow)}
    assert run == set(read_lines_of_tox())


def test_a_tag_publishes_what_was_checked_and_by_no_token():
    workflow = read(os.pardir, ".github", "workflows", "release.yml")
    build, publish = workflow.split("\n  publish:\n")
    assert 'tags: ["v*"]' in build and "tox run -e package" in build
    assert "id-token: write" in publish and "id-token" not in build
    assert "secrets." not in workflow and "password" not in workflow and "checkout" not in publish


def test_commits_are_checked_by_the_ruff_that_tox_has():
    (version,) = re.findall(r"^ruff==(.+)$", read(os.pardir, "constraints", "tools.txt"), re.M)
    assert f"rev: v{version}\n" in read(os.pardir, ".pre-commit-config.yaml")


def test_the_page_about_privacy_has_every_name_that_is_hidden():
    with open(os.path.join(DOCS, "howto", "privacy.md"), encoding="utf-8") as file:
        page = file.read()
    shown = set(re.findall(r"`([^`\s]+)`", page))
    assert {*hidden_names.NAMES, *hidden_names.ENDINGS, *hidden_names.STATEMENTS} - shown == set()
