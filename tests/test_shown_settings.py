"""The settings of providers that a page shows pass the checks, and their webhooks are proved."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import sys
from types import ModuleType

import pytest
from django.core.checks import run_checks

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.providers import Provider
from django_payment_webhooks.providers.declarative import UNPROVED
from django_payment_webhooks.providers.sending import (
    compose,
    forge_webhook,
    make_values,
    sign_webhook,
)

from .shown import FENCE, list_blocks, read_pages
from .test_docs import RECIPES, Environment, read_blocks
from .test_provider_pages import find_secret

SETTING = "PAYMENT_WEBHOOKS_PROVIDERS"
PAGES = read_pages()
OPTION = re.compile(r'"(PRESET|SECRETS|BACKEND)":')
VARIABLE = re.compile(r'environ(?:\.get\(|\[)"(\w+)"')
# Blocks with options that set nothing here, and what runs them instead.
ELSEWHERE = {
    "docs/howto/testing.md": ("override_settings", "the reader of test_docs runs it"),
    "docs/howto/providers.md": ("def find_provider(name)", "test_docs calls it"),
}


def assigns(block):
    """Return whether a block of code sets the providers."""
    return any(
        isinstance(node, ast.Name) and node.id == SETTING and not isinstance(node.ctx, ast.Load)
        for node in ast.walk(ast.parse(block))
    ) or re.search(rf"^{SETTING}\[", block, re.M)


SHOWN = [
    (page, number, block)
    for page, text in PAGES.items()
    for number, block in enumerate(list_blocks(text), 1)
    if assigns(block)
]
IDS = [f"{page}-{number}" for page, number, _ in SHOWN]


def make_secrets(name):
    """Return the secrets of an environment variable: those that a preset of this name can have."""
    page = f"docs/providers/{name[: -len('_SECRETS')].lower()}.md"
    if page in PAGES:
        return find_secret(name[: -len("_SECRETS")].lower())
    return hashlib.sha256(name.encode()).hexdigest()


def install(monkeypatch, path, **members):
    """Put something into a module."""
    module = sys.modules.get(path) or ModuleType(path)
    for name, value in members.items():
        monkeypatch.setattr(module, name, value, raising=False)
    monkeypatch.setitem(sys.modules, path, module)


@pytest.fixture
def host(monkeypatch):
    """A project that has what the settings of the pages name."""
    providers = {block.caption: block.text for block in read_blocks("howto", "providers.md")}
    shown = {}
    exec(providers["orders/providers.py"], shown)
    install(monkeypatch, "orders", __path__=[])
    install(monkeypatch, "orders.providers", Odd=shown["Odd"])
    install(monkeypatch, "shop.providers", Other=type("Other", (Provider,), {}))
    install(monkeypatch, "shop.merchants", find_provider={"acme": {}}.get)
    presets = [re.match(r"docs/providers/(\w+)\.md", page) for page in PAGES]
    confirms = {f"confirm_{found.group(1)}": dict for found in presets if found}
    install(monkeypatch, "shop.payments", **confirms)


@pytest.mark.parametrize(("page", "number", "block"), SHOWN, ids=IDS)
def test_settings_of_a_page_pass_the_checks_and_prove_a_webhook(
    page, number, block, host, settings, monkeypatch, tmp_path
):
    for name in VARIABLE.findall(block):
        monkeypatch.setenv(name, make_secrets(name))
    shown = {SETTING: {}, "PAYMENT_WEBHOOKS_HANDLERS": {}, "INSTALLED_APPS": []}
    exec(block, {"env": Environment(), "os": os, "BASE_DIR": tmp_path}, shown)
    settings.PAYMENT_WEBHOOKS_PROVIDERS = shown[SETTING]
    errors = [each for each in run_checks() if each.level >= 40]
    assert [each.msg for each in errors if "provider" in each.msg.lower()] == []
    if isinstance(shown[SETTING], dict):
        for name in shown[SETTING]:
            prove(get_provider(name))


def prove(provider):
    """Assert that a provider accepts what it has signed, and nothing that is forged."""
    if provider.proof == UNPROVED or not hasattr(provider, "sign_headers"):
        assert provider.needs_confirmation
        return
    if hasattr(provider, "signing_key"):
        return  # its provider signs with a private key; its preset has vectors
    webhook = compose(provider, make_values(provider, "charge.succeeded"))
    signed = sign_webhook(provider, webhook)
    assert provider.verify(signed.meta, signed.body)
    forged = forge_webhook(provider, webhook)
    with pytest.raises(WebhookRefused):
        provider.verify(forged.meta, forged.body)


def test_every_block_with_a_providers_options_is_run():
    """It is run here, or as a recipe by ``test_docs``, or the table above says by what."""
    recipes = [block.text for block in read_blocks("howto", "providers.md") if is_recipe(block)]
    for page, text in PAGES.items():
        for block in [each for each in list_blocks(text) if OPTION.search(each)]:
            word, _ = ELSEWHERE.get(page, ("", ""))
            is_run = any(block == each for _, _, each in SHOWN) or block in recipes
            assert is_run or (word and word in block), (page, block)


def is_recipe(block):
    """Return whether a block is a recipe for a provider without a preset."""
    return block.caption.startswith("recipe ")


def test_every_recipe_has_a_test():
    captions = {each.caption for each in read_blocks("howto", "providers.md") if is_recipe(each)}
    assert captions == {each.__name__.replace("_", " ") for each in RECIPES}


def test_pages_are_found():
    assert {"README.md", "docs/tutorial.md", "docs/reference/providers.md"} <= {
        page for page, _, _ in SHOWN
    }
    assert len(SHOWN) > len([page for page in PAGES if page.startswith("docs/providers/")]) > 30
    assert FENCE.search(PAGES["README.md"])
