"""The structure: the core is small, needs nothing but itself, and its imports point in one
direction.
"""

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
EXTRAS = {"admin", "contrib", "management", "providers", "pytest_plugin", "testing"}
# What an extra may import beside the core and itself.
BELOW = {
    "providers": set(),
    "contrib": {"providers"},
    "admin": {"contrib"},
    "management": {"contrib", "providers"},
    "testing": {"contrib", "providers"},
    "pytest_plugin": {"contrib", "providers", "testing"},
}
# A module imports only what stands after it.
LAYERS = [
    "apps",
    "urls",
    "views",
    "processing",
    "handlers",
    "models",
    "conf",
    "signals",
    "exceptions",
]


def find_sources():
    """Return the text of every module of the package but the migrations, by its dotted name in the
    package.
    """
    sources = {}
    for folder, _, names in os.walk(PACKAGE):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), PACKAGE)
            if name.endswith(".py") and "migrations" not in path.split(os.sep):
                with open(os.path.join(folder, name), encoding="utf-8") as source:
                    sources[path[: -len(".py")].replace(os.sep, ".")] = source.read()
    return sources


SOURCES = find_sources()
CORE = {name: source for name, source in SOURCES.items() if name.split(".")[0] not in EXTRAS}


def count_code_lines(source):
    """Return how many lines are neither blank nor only comment or docstring: a string that is a
    whole statement.
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


def find_imports(name, source):
    """Return what a module imports of the package, as (module, line), and the names of other
    packages.
    """
    own, others = set(), set()
    package = name.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
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


def test_lines_are_counted_as_the_brief_says():
    assert count_code_lines(COUNTED) == 1 + 2 + 1 + 3


def test_the_core_has_at_most_350_lines_of_code():
    counts = {name: count_code_lines(source) for name, source in CORE.items()}
    assert sum(counts.values()) <= 350, counts


def test_the_core_is_what_the_layers_say():
    assert set(CORE) == {"__init__", *LAYERS}


@pytest.mark.parametrize("name", LAYERS)
def test_a_module_of_the_core_imports_only_what_stands_below_it(name):
    own, others = find_imports(name, CORE[name])
    assert own <= set(LAYERS[LAYERS.index(name) + 1 :])
    assert django_payment_webhooks.__name__ not in others


@pytest.mark.parametrize("name", sorted(CORE))
def test_the_core_needs_only_django_celery_and_appconf(name):
    _, others = find_imports(name, CORE[name])
    needed = others - {"django", "celery", "kombu", "appconf"}
    for module in needed:
        origin = getattr(__import__(module), "__file__", None) or "built in"
        assert "site-packages" not in origin, module


@pytest.mark.parametrize("name", sorted(set(SOURCES) - set(CORE)))
def test_an_extra_imports_the_core_and_the_extras_below_it(name):
    extra = name.split(".")[0]
    own, others = find_imports(name, SOURCES[name])
    imported = {module.split(".")[0] for module in own} - {extra}
    assert imported - set(LAYERS) <= BELOW[extra]
    assert not imported & {"apps", "urls", "views"}
    assert django_payment_webhooks.__name__ not in others


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


# ---- the core without its extras

PROJECT = """
import json
import sys

# An editable installation finds whatever is missing in this copy where it was installed from.
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]

import django
from celery import Celery
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
    PAYMENT_WEBHOOKS_HANDLERS={"paid": "partner.Paid"},
)
app = Celery("core", broker="memory://")
django.setup()

from django.core.management import call_command
from django.test import Client

import django_payment_webhooks
from django_payment_webhooks.models import Event
from django_payment_webhooks.processing import process

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
    post("not json", HTTP_X_TOKEN="good"),
]
with app.connection_for_read() as connection:
    message = connection.SimpleQueue("celery").get(timeout=10)
assert message.headers["task"] == "payment_webhooks.process_event"
(key,) = message.payload[0]
process(key)

loaded = [name for name in sys.modules if name.startswith("django_payment_webhooks.")]
events = Event.objects.order_by("pk").values_list("provider_event_id", "status")
facts = {"file": django_payment_webhooks.__file__, "loaded": loaded, "answers": answers}
print(json.dumps(dict(facts, events=[list(event) for event in events], effects=partner.effects)))
"""

PARTNER = """
import json

from django.http import HttpResponse
from django.utils import timezone

from django_payment_webhooks.exceptions import ParseError, WebhookRefused
from django_payment_webhooks.handlers import Handler

effects = []


class Partner:
    def __init__(self, name, token):
        self.name, self.token = name, token

    def verify(self, meta, body):
        if meta.get("HTTP_X_TOKEN") != self.token:
            raise WebhookRefused(401, "mismatch", "Wrong token.")
        return "token"

    def parse(self, meta, body):
        try:
            payload = self.payload(body, "")
        except ValueError:
            raise ParseError(400, "unparsed", "No JSON.")
        return [{"provider_event_id": str(payload["id"]), "type": payload["kind"], "occurred_at": timezone.now()}]

    def payload(self, body, path):
        return json.loads(body.decode())

    def read(self, payload):
        return payload

    def answer(self, outcomes):
        return HttpResponse(" ".join("new" if created else "old" for _, created in outcomes))


class Paid(Handler):
    def apply(self, event):
        effects.append([event.provider, event.data["kind"]])
"""


def test_the_core_runs_without_its_extras(tmp_path):
    copy = tmp_path / "django_payment_webhooks"
    shutil.copytree(PACKAGE, str(copy), ignore=shutil.ignore_patterns("__pycache__"))
    for extra in EXTRAS:
        shutil.rmtree(str(copy / extra), ignore_errors=True)
        if (copy / (extra + ".py")).exists():
            (copy / (extra + ".py")).unlink()
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
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()

    facts = json.loads(output.decode().splitlines()[-1])
    assert os.path.realpath(facts["file"]).startswith(os.path.realpath(str(copy)))
    assert not {name.split(".")[1] for name in facts["loaded"]} & EXTRAS
    answers = [
        (401, '{"error": "Wrong token."}'),
        (200, "new"),
        (200, "old"),
        (400, '{"error": "No JSON."}'),
    ]
    assert facts["answers"] == [list(answer) for answer in answers]
    (paid, failed) = facts["events"]
    assert (paid, failed[1]) == (["1", "processed"], "failed")
    assert facts["effects"] == [["default", "paid"]]
