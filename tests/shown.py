"""What the pages show: their handlers, run in a shop that has what they name.

A page is each file that readers copy from: README, the documentation, also its pages about
presets, the docstrings, and the shop's own handlers.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
import textwrap
from types import ModuleType
from typing import NamedTuple

from django.db import models
from django.test.utils import isolate_apps
from shop import handlers as shop_handlers
from shop import models as shop_models

from django_payment_webhooks import conf, exceptions, handlers, payments

from .test_architecture import SOURCES
from .test_docs import PAGES, ROOT
from .test_provider_pages import load_pages

FENCE = re.compile(r"^([ ]*)```(?:\{code-block\} )?python\n(.*?)^\1```$", re.M | re.S)
OPTION = re.compile(r"^:[a-z]+: [^\n]*\n", re.M)
NAMED = re.compile(r'"([\w.:]+)"\]?\s*[:=]\s*"[\w.]+\.(\w+)"')
# What a page's code may name that its own imports do not say, as it goes on from what came before.
BEFORE = {
    name: value
    for module in (payments, handlers, exceptions, conf)
    for name, value in vars(module).items()
    if not name.startswith("_")
}


class Shown(NamedTuple):
    """A handler that a page shows, the type of its events, and the shop that it is for."""

    page: str
    handler: type
    type: str
    shop: ModuleType

    @property
    def path(self):
        """Its dotted path."""
        return f"{self.handler.__module__}.{self.handler.__qualname__}"


@isolate_apps()
def make_shop():
    """Return the models that the pages speak of, and the warehouse."""

    class Order(models.Model):
        id = models.CharField(max_length=64, primary_key=True)
        shop = models.CharField(max_length=64, default="")
        number = models.CharField(max_length=64, default="")
        amount = models.DecimalField(max_digits=12, decimal_places=2)
        currency = models.CharField(max_length=3)
        paid_at = models.DateTimeField(null=True)
        refunded = models.DecimalField(max_digits=12, decimal_places=2, default=0)
        stage = models.CharField(max_length=16, default="new")
        changes = models.IntegerField(default=0)

        class Meta:
            app_label = "shown"

        def __str__(self):
            return self.id

    class Refund(models.Model):
        order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="refunds")
        refund_id = models.CharField(max_length=255)
        amount = models.DecimalField(max_digits=12, decimal_places=2)

        class Meta:
            app_label = "shown"

        def __str__(self):
            return self.refund_id

    module = ModuleType("shown_shop.models")
    module.Order, module.Refund = Order, Refund
    return module


MODELS = make_shop()


class Warehouse(ModuleType):
    """What is shipped: each key once, however often it is asked for."""

    shipped: set = set()

    @classmethod
    def ship(cls, order_id, idempotency_key):
        """Ship an order."""
        cls.shipped.add((order_id, idempotency_key))


def install():
    """Make what the pages import importable."""
    package = ModuleType("shown_shop")
    package.__path__ = []
    package.models, package.warehouse = MODELS, Warehouse("shown_shop.warehouse")
    sys.modules.update(
        {
            "shown_shop": package,
            "shown_shop.models": MODELS,
            "shown_shop.warehouse": package.warehouse,
        }
    )


def read_pages():
    """Return the text of every page, by its name."""
    texts = {}
    for page in PAGES:
        with open(os.path.join(ROOT, page), encoding="utf-8") as file:
            texts[page] = file.read()
    for preset in load_pages().list_presets():
        texts[f"docs/providers/{preset.name}.md"] = preset.write()
    return texts


def list_blocks(text):
    """Return each block of Python of a page, without its caption."""
    blocks = [OPTION.sub("", textwrap.dedent(block)) for _, block in FENCE.findall(text)]
    return [textwrap.dedent(block) for block in blocks]


def shows_handler(block):
    """Return whether a block of code has a class that looks like a handler, or finds an order."""
    classes = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.ClassDef)]
    bases = [getattr(base, "id", "") for each in classes for base in each.bases]
    finds = any(getattr(node, "name", "") == "get_order" for each in classes for node in each.body)
    return finds or any(base.endswith("Handler") for base in bases)


def continues(block, known):
    """Return whether a class of a block derives from one that the page has shown before."""
    classes = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.ClassDef)]
    return any(getattr(base, "id", "") in known for each in classes for base in each.bases)


def run_page(page, blocks):
    """Return the module that the handlers of a page make."""
    module = ModuleType("shown_" + re.sub(r"\W", "_", page))
    vars(module).update(BEFORE, Order=MODELS.Order, __package__="shown_shop")
    own = set()
    for block in blocks:
        if shows_handler(block) or continues(block, own):
            before = set(vars(module))
            exec(compile(block, page, "exec"), vars(module))
            own |= set(vars(module)) - before
    sys.modules[module.__name__] = module
    return module


def list_own(module):
    """Return the handlers that are written in a module."""
    return [
        each
        for each in vars(module).values()
        if inspect.isclass(each)
        and issubclass(each, handlers.Handler)
        and each.__module__ == module.__name__
    ]


# The type of the events of each abstract handler.
TYPES = [(parent, event_type) for event_type, (_, parent) in load_pages().HANDLERS.items()]
TYPES.append(("RefundTotalHandler", "refund.created"))


def find_type(handler, text):
    """Return the type of the events of a handler: that of its page's settings, or of its class."""
    named = {name: event_type for event_type, name in NAMED.findall(text)}
    parents = {each.__name__ for each in handler.__mro__}
    of_class = [event_type for parent, event_type in TYPES if parent in parents]
    types = [named[name] for name in (handler.__name__,) if name in named] or of_class
    assert types, f"No settings of its page name {handler.__name__}."
    return types[0]


def list_shown():
    """Return every handler that a page shows, and those of the shop."""
    install()
    shown = [
        Shown("shop", each, find_type(each, ""), shop_models) for each in list_own(shop_handlers)
    ]
    for page, text in read_pages().items():
        for handler in list_own(run_page(page, list_blocks(text))):
            shown.append(Shown(page, handler, find_type(handler, text), MODELS))
    return shown


def list_docstrings():
    """Yield each docstring of the package, with its module."""
    for name, source in SOURCES.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                yield name, ast.get_docstring(node) or ""
