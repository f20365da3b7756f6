"""The structure: the core is small, needs nothing but itself, and imports point one way."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tokenize

import pytest

import django_payment_webhooks

PACKAGE = os.path.dirname(django_payment_webhooks.__file__)
# The core, each module above those that it may import.
LAYERS = [
    "urls",
    "views",
    "processing",
    "receiving",
    "handlers",
    "models",
    "apps",
    "conf",
    "signals",
    "exceptions",
]
# What else there is, by what it may import beside the core and itself. The plug-ins of the core are
# modules, the rooms are folders.
BELOW = {
    "providers": set(),
    "retrying": {"providers"},
    "publisher": set(),
    "sweeper": {"providers", "publisher", "retrying"},
    "worker": {"publisher", "sweeper"},
    "payments": {"providers"},
    "templatetags": {"monitoring"},
    "history": {"providers", "publisher"},
    "checks": {"history", "operations", "providers", "publisher"},
    "logging": {"providers", "publisher"},
    "operations": {"history", "providers", "publisher", "retrying"},
    "monitoring": {
        *("checks", "history", "operations", "providers"),
        *("publisher", "retrying"),
    },
    "admin": {
        *("history", "monitoring", "operations", "providers"),
    },
    "contrib": {
        *("checks", "history", "monitoring", "operations", "providers", "publisher", "retrying"),
    },
    "management": {
        *("history", "monitoring", "operations", "providers"),
        *("publisher", "sweeper"),
    },
    "testing": {"history", "providers", "publisher", "retrying", "sweeper"},
    "pytest_plugin": {"testing"},
}
# The core's modules that concern only Django.
ENTRANCES = {"apps", "urls", "views"}
MAX_LINES = 350


def find_sources():
    """Return the text of every module but the migrations, by its dotted name in the package."""
    sources = {}
    for folder, _, names in os.walk(PACKAGE):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), PACKAGE)
            if name.endswith(".py") and "migrations" not in path.split(os.sep):
                with open(os.path.join(folder, name), encoding="utf-8") as source:
                    sources[path[: -len(".py")].replace(os.sep, ".")] = source.read()
    return sources


SOURCES = find_sources()
CORE = {name: SOURCES[name] for name in ("__init__", *LAYERS)}


def count_code_lines(source):
    """Return how many lines are neither blank nor only comment or docstring.

    A docstring is a string that is a whole statement.
    """
    ignored = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    tokens = [token for token in tokens if token.type not in (tokenize.COMMENT, tokenize.NL)]
    starts = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines = set()
    for before, token, after in zip([None, *tokens], tokens, [*tokens[1:], None]):
        starts_line = before is None or before.type in starts
        is_docstring = (
            token.type == tokenize.STRING and starts_line and after.type == tokenize.NEWLINE
        )
        if token.type not in ignored and not is_docstring:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines)


def is_for_types_alone(node):
    """Return whether a statement is ``if TYPE_CHECKING``: nothing below it is imported."""
    return isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"


def walk(node):
    """Yield a node and all below it that run."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not is_for_types_alone(child):
            yield from walk(child)


def find_imports(name, source):
    """Return what a module imports: the package's modules, and the names of other packages."""
    own, others = set(), set()
    package = name.split(".")[:-1]
    for node in walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            parent = package[: len(package) - node.level + 1]
            found = [[node.module]] if node.module else [[alias.name] for alias in node.names]
            own.update(".".join(parent + module) for module in found)
        elif isinstance(node, ast.ImportFrom):
            others.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            others.update(alias.name.split(".")[0] for alias in node.names)
    return own, others


COUNTED = '''"""A docstring

of three lines."""

import x  # why

# a comment
Y = """a
value"""


def f():
    "Docs."
    return (
        1
    )
'''


def test_lines_of_code_are_neither_blank_nor_comment_nor_docstring():
    assert count_code_lines(COUNTED) == 1 + 2 + 1 + 3


def test_the_core_has_at_most_350_lines_of_code():
    counts = {name: count_code_lines(source) for name, source in CORE.items()}
    assert sum(counts.values()) <= MAX_LINES, counts


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_no_line_is_wider_than_100_columns(name):
    wide = [line for line in SOURCES[name].splitlines() if len(line) > 100]
    assert wide == []


def test_every_module_has_its_place():
    assert {name.split(".")[0] for name in SOURCES} == {"__init__", *LAYERS, *BELOW}


@pytest.mark.parametrize("name", LAYERS)
def test_a_module_of_the_core_imports_only_what_stands_below_it(name):
    own, others = find_imports(name, CORE[name])
    assert own <= set(LAYERS[LAYERS.index(name) + 1 :])
    assert django_payment_webhooks.__name__ not in others


@pytest.mark.parametrize("name", sorted(CORE))
def test_the_core_needs_only_django_and_appconf(name):
    _, others = find_imports(name, CORE[name])
    for module in others - {"django", "appconf"}:
        origin = getattr(__import__(module), "__file__", None) or "built in"
        assert "site-packages" not in origin, module


@pytest.mark.parametrize("name", sorted(set(SOURCES) - set(CORE)))
def test_a_room_imports_the_core_and_the_rooms_below_it(name):
    room = name.split(".")[0]
    own, others = find_imports(name, SOURCES[name])
    imported = {module.split(".")[0] for module in own} - {room}
    assert imported - set(LAYERS) <= BELOW[room]
    assert not imported & ENTRANCES
    assert django_payment_webhooks.__name__ not in others


def find_allowed(room):
    """Return every room that a room may reach by what it imports."""
    found, new = set(), {room}
    while new:
        found |= new
        new = set().union(*[BELOW[name] for name in new]) - found
    return found


def test_the_rooms_stand_above_each_other():
    for room, below in BELOW.items():
        for name in below:
            assert room not in find_allowed(name), (room, name)


# What writes an event's row beside its own methods: the mark of an event that a worker has, which
# must not overtake that worker; the time that a test lets pass; and what a row is deleted by.
PAST_CHANGE = {"models": 1, "sweeper": 1, "testing": 1}
COLUMNS = {"due_at", "enqueue_at", "attempts", "idempotency_key", "waiting_since"}


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_an_events_row_is_written_by_its_own_methods_alone(name):
    source = SOURCES[name]
    tree = ast.parse(source)
    written = [node.func.attr for node in ast.walk(tree) if is_write_of_events(node)]
    assert len(written) == PAST_CHANGE.get(name, 0), written


def is_write_of_events(node):
    """Return whether a node updates events in bulk: ``….update(column=…)`` of a query of them."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    if node.func.attr not in ("update", "bulk_update"):
        return False
    columns = {keyword.arg for keyword in node.keywords}
    is_of_events = any(getattr(each, "id", "") == "Event" for each in ast.walk(node.func))
    return bool(columns & COLUMNS) or (is_of_events and None in columns)


def test_a_row_is_saved_where_it_is_stored_and_nowhere_else():
    saved = [name for name, source in SOURCES.items() if "draft.save(" in source]
    assert saved == ["receiving"]
    names = r"\b(event|other|waiting|holder|claimed)\.save\("
    assert [name for name, source in SOURCES.items() if re.search(names, source)] == []


def find_functions(source):
    """Return every function of a module."""
    return [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_no_function_imports(name):
    for function in find_functions(SOURCES[name]):
        imports = [
            node for node in ast.walk(function) if isinstance(node, (ast.Import, ast.ImportFrom))
        ]
        assert not imports, function.name


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_no_function_has_more_than_40_lines(name):
    for function in find_functions(SOURCES[name]):
        last = max(getattr(node, "lineno", 0) for node in ast.walk(function))
        assert last - function.lineno < 40, function.name


def test_two_shims_are_enough_for_ten_years_of_django():
    pattern = (
        r"django\.VERSION|get_version\(|sys\.version_info|except (ImportError|ModuleNotFoundError)"
    )
    shims = [
        (name, found) for name, source in SOURCES.items() for found in re.findall(pattern, source)
    ]
    assert len(shims) <= 2, shims


def test_every_module_is_named_after_what_it_does():
    words = {word for name in SOURCES for word in name.split(".")}
    assert not words & {
        "utils",
        "util",
        "helpers",
        "helper",
        "base",
        "compat",
        "common",
        "misc",
        "tools",
    }


def test_nothing_is_left_to_be_done():
    for name, source in SOURCES.items():
        assert not re.search(
            "T[O]DO|F[I]XME|X[X]X|no[q]a|type: i[g]nore|pragma: no cover", source
        ), name


# ---- the core alone

PROJECT = """
import json
import sys

# An editable installation finds whatever is missing in this copy where it was installed from.
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="x",
    ALLOWED_HOSTS=["testserver"],
    INSTALLED_APPS=["django_payment_webhooks"],
    ROOT_URLCONF="django_payment_webhooks.urls",
    MIDDLEWARE=[],
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "core.sqlite3"}},
    PAYMENT_WEBHOOKS_EXTENSIONS=[],
    PAYMENT_WEBHOOKS_PROVIDERS={"default": {"BACKEND": "partner.Partner", "token": "good"}},
    PAYMENT_WEBHOOKS_HANDLERS={"paid": "partner.Paid", "shipped": "partner.Shipped"},
    PAYMENT_WEBHOOKS_PUBLISHER="partner.Publisher",
    PAYMENT_WEBHOOKS_RETRY_POLICY="partner.Policy",
)
django.setup()

from django.core.management import call_command
from django.test import Client

import django_payment_webhooks
from django_payment_webhooks.models import Event
from django_payment_webhooks.processing import process_event

import partner

call_command("check", "--fail-level", "WARNING", verbosity=0)
call_command("migrate", verbosity=0)


def post(body, **headers):
    answer = Client().post("/payment", body, "application/json", **headers)
    return [answer.status_code, answer.content.decode()]


answers = [
    post('{"id": 1, "kind": "paid"}', HTTP_X_TOKEN="bad"),
    post('{"id": 1, "kind": "paid"}', HTTP_X_TOKEN="good"),
    post('{"id": 1, "kind": "paid"}', HTTP_X_TOKEN="good"),
    post('{"id": 2, "kind": "shipped"}', HTTP_X_TOKEN="good"),
    post('{"id": 3, "kind": "other"}', HTTP_X_TOKEN="good"),
    post("not json", HTTP_X_TOKEN="good"),
]
for event in Event.objects.filter(pk__in=[event.pk for event in partner.published]):
    process_event(event)

loaded = [name for name in sys.modules if name.startswith("django_payment_webhooks.")]
facts = {
    "file": django_payment_webhooks.__file__,
    "loaded": loaded,
    "celery": "celery" in sys.modules,
    "answers": answers,
    "events": list(Event.objects.order_by("pk").values_list("provider_event_id", "status")),
    "effects": partner.effects,
    "recorded": partner.recorded,
}
print(json.dumps(facts))
"""

PARTNER = """
import json

from django.http import HttpResponse
from django.utils import timezone
from django.utils.module_loading import import_string

from django_payment_webhooks.conf import settings
from django_payment_webhooks.exceptions import NothingToDo, Overtaken, WebhookRefused
from django_payment_webhooks.handlers import Handler
from django_payment_webhooks.models import Event, digest
from django_payment_webhooks.receiving import BaseProvider

effects, published, recorded = [], [], []


class Partner(BaseProvider):
    def __init__(self, name, token):
        self.name, self.token = name, token

    def read_body(self, request):
        return request.body

    def verify(self, meta, body):
        if meta.get("HTTP_X_TOKEN") != self.token:
            raise WebhookRefused(401, "mismatch", "Wrong token.")
        return "token"

    def parse(self, meta, body):
        now = timezone.now()
        try:
            payload = self.payload(body)
        except ValueError:
            name = "unparsed:" + digest(body.decode())
            failed = Event(provider_event_id=name, occurred_at=now, finished_at=now, body=body)
            failed.status = Event.FAILED
            failed.provider, failed.dedup_key = self.name, digest(self.name, name)
            return [failed]
        name = str(payload["id"])
        event = Event(provider_event_id=name, type=payload["kind"], occurred_at=now, body=body)
        event.provider, event.dedup_key = self.name, digest(self.name, name)
        return [event]

    def payload(self, body):
        return json.loads(body.decode())

    def read(self, payload):
        return payload

    def answer(self, events):
        if not events[0].type:
            raise WebhookRefused(400, "unparsed", "No JSON.")
        return HttpResponse(" ".join("new" if event.is_new else "old" for event in events))


class Publisher:
    def publish(self, events):
        published.extend(event for event in events if event.due_at is not None)


class Policy:
    def run(self, function, *args):
        return function(*args)

    insert = run

    def call(self, method, event):
        return method(event)

    call_guarded = call

    def find_handler(self, event):
        if event.type not in settings.PAYMENT_WEBHOOKS_HANDLERS:
            raise NothingToDo("Nobody handles it.")
        return import_string(settings.PAYMENT_WEBHOOKS_HANDLERS[event.type])()

    def prepare(self, handler, event):
        handler.prepare(event)

    def is_ready(self, handler, event):
        return handler.is_ready(event)

    def deliver(self, handler, event):
        handler.deliver(event)

    def find_key(self, handler, event):
        return digest(handler.idempotency_key(event))

    def record(self, event, error):
        if isinstance(error, Overtaken):
            return
        recorded.append(type(error).__name__)
        status = Event.IGNORED if isinstance(error, NothingToDo) else Event.FAILED
        event.finish(status, str(error))


class Paid(Handler):
    def apply(self, event):
        effects.append(["paid", event.provider, event.data["kind"]])


class Shipped(Paid):
    def deliver(self, event):
        effects.append(["delivered", event.idempotency_key, event.status])
"""


def copy_core(folder):
    """Copy the package without all that is not the core, and return where it is."""
    copy = folder / "django_payment_webhooks"
    shutil.copytree(PACKAGE, str(copy), ignore=shutil.ignore_patterns("__pycache__"))
    for room in BELOW:
        shutil.rmtree(str(copy / room), ignore_errors=True)
        if (copy / f"{room}.py").exists():
            (copy / f"{room}.py").unlink()
    return copy


def test_the_core_runs_without_all_the_rest(tmp_path):
    copy = copy_core(tmp_path)
    (tmp_path / "project.py").write_text(PROJECT)
    (tmp_path / "partner.py").write_text(PARTNER)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "project.py"],
        cwd=str(tmp_path),
        env=dict(environ, PYTHONPATH=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    facts = json.loads(output.decode().splitlines()[-1])
    assert facts["file"] == str(copy / "__init__.py")
    loaded = {name.split(".")[1] for name in facts["loaded"]}
    assert loaded <= {*LAYERS, "migrations"}
    assert not facts["celery"]
    assert [status for status, _ in facts["answers"]] == [401, 200, 200, 200, 200, 400]
    assert [text for _, text in facts["answers"][1:5]] == ["new", "old", "new", "new"]
    ends = {name.partition(":")[0]: status for name, status in facts["events"]}
    assert ends == {"1": "processed", "2": "processed", "3": "ignored", "unparsed": "failed"}
    paid, shipped, delivered = facts["effects"]
    assert (paid, shipped) == (["paid", "default", "paid"], ["paid", "default", "shipped"])
    assert delivered[0::2] == ["delivered", "applied"]
    assert facts["recorded"].count("NothingToDo") == 1
