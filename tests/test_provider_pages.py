"""The pages about the presets: each preset has one, and what it shows works."""

from __future__ import annotations

import ast
import importlib.util
import io
import os
import re
import shlex
import sys
from types import ModuleType

import pytest
from django.core.management import call_command

from django_payment_webhooks import conf, payments
from django_payment_webhooks.checks import check_providers
from django_payment_webhooks.providers import find_preset

from .providers.presets import contract
from .providers.presets.test_every_preset import NAMES
from .test_docs import DOCS

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def load_pages():
    """Return the module that writes the pages."""
    path = os.path.join(DOCS, "presets.py")
    spec = importlib.util.spec_from_file_location("presets_of_docs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The text of each page, by the name of its file."""
    folder = tmp_path_factory.mktemp("providers")
    (folder / "left_over.md").write_text("# A provider that is gone", "utf-8")
    load_pages().write_pages(str(folder))
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()}


def find_block(page, language):
    """Return the first block of code of a page in a language."""
    return next(text for found, text in BLOCK.findall(page) if found == language)


def find_secret(name):
    """Return a secret that can be one of a preset."""
    module = importlib.import_module(f"{contract.__package__}.test_{name}")
    contracts = [each for each in vars(module).values() if isinstance(each, type)]
    return next(
        each.secret
        for each in contracts
        if issubclass(each, contract.Contract) and each is not contract.Contract
    )


@pytest.fixture
def load_settings(monkeypatch, settings):
    """Install the settings that a page shows, in a project that has what they name."""

    def load(name, page):
        shop = ModuleType("shop.payments")
        monkeypatch.setattr(shop, f"confirm_{name}", lambda event: {}, raising=False)
        monkeypatch.setitem(sys.modules, "shop.payments", shop)
        monkeypatch.setenv(f"{name.upper()}_SECRETS", find_secret(name))
        shown = {}
        exec(find_block(page, "python"), shown)
        settings.PAYMENT_WEBHOOKS_PROVIDERS = shown["PAYMENT_WEBHOOKS_PROVIDERS"]
        return shown

    return load


def test_every_preset_has_a_page_and_nothing_else_has(pages):
    assert set(pages) == {"index.md", "_by_proof.md", *(f"{name}.md" for name in NAMES)}


def test_the_table_and_the_menu_have_every_preset(pages):
    index = pages["index.md"]
    assert re.findall(r"^\| \[[^\]]+\]\((\w+)\.md\) \| `(\w+)` \|", index, re.M) == [
        (name, name) for name in NAMES
    ]
    assert index.split(":hidden:\n\n")[1].split("\n```")[0].split("\n") == NAMES
    assert all(
        all(cells) for cells in re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|", index, re.M)
    )


def test_the_table_of_the_front_page_leads_to_every_preset(pages):
    links = re.findall(r"\[([^\]]+)\]\(providers/(\w+)\.md\)", pages["_by_proof.md"])
    assert sorted(name for _, name in links) == NAMES
    assert len({text for text, _ in links}) == len(NAMES)


def test_titles_are_what_a_reader_searches_for(pages):
    titles = {name: pages[f"{name}.md"].split("\n", 1)[0] for name in NAMES}
    assert titles["stripe"] == "# Receive Stripe webhooks in Django"
    assert all(re.match(r"# Receive .* in Django", title) for title in titles.values())
    assert len(set(titles.values())) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_of_a_page_can_be_copied(name, pages, load_settings):
    shown = load_settings(name, pages[f"{name}.md"])
    assert [each.msg for each in check_providers(None) if each.level >= 40] == []
    assert isinstance(conf.get_provider(name), find_preset(name))
    # A reader who has just written the first could not import more.
    assert len(shown["PAYMENT_WEBHOOKS_HANDLERS"]) == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_command_of_a_page_sends_what_the_provider_would(name, pages, load_settings):
    page = pages[f"{name}.md"]
    load_settings(name, page)
    if hasattr(find_preset(name), "signing_key"):
        assert "SIGNING_KEY" in page
        return
    line = find_block(page, "console").split("\n")[0]
    words = shlex.split(line[len("$ python manage.py ") :])
    printed = io.StringIO()
    call_command(*words, "--dry-run", stdout=printed)
    assert f"/{name}\n" in printed.getvalue() or f"/{name}?" in printed.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_what_the_events_become(name, pages):
    page, provider = pages[f"{name}.md"], find_preset(name)(name)
    table = page.split("## What its events become")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+) \| `([\w.]+)` \| `(\w+)` \|$", table, re.M)
    assert sorted(own for _, own, _ in rows) == sorted(rule.type for rule in provider.rules)
    assert all(hasattr(payments, base) for _, _, base in rows)
    shown = " ".join(theirs for theirs, _, _ in rows).replace(r"\|", "|")
    for rule in provider.rules:
        assert all(f"`{each}`" in shown for each in rule.names)
        assert all(f"`{each.path}`" in shown for each in rule.conditions)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_what_is_special(name, pages):
    page, provider = pages[f"{name}.md"], find_preset(name)(name)
    assert f"]({provider.docs})" in page
    assert all(event in page for event in provider.events)
    assert ('"CONFIRM"' in find_block(page, "python")) == provider.needs_confirmation
    assert all(f"`{each}`" in page for each in provider.addresses)
    assert ("An event is from test mode if" in page) == bool(provider.test_mode)
    if provider.answer_body is not None:
        assert f"200 and `{provider.answer_body}`" in page
    if provider.signature_field:
        assert f"in the body's `{provider.signature_field}`" in page


@pytest.mark.parametrize("name", ["index", *NAMES])
def test_a_page_is_written_as_markdown(name, pages):
    page = pages[f"{name}.md"]
    assert "``" not in BLOCK.sub("", page).replace("```{toctree}", "").replace("\n```\n", "\n")
    assert "None" not in page
    for language, text in BLOCK.findall(page):
        if language == "python":
            ast.parse(text)
    for table in re.findall(r"(?:^\|.*\|\n)+", page, re.M):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1, table
