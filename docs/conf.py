"""Sphinx: ``sphinx-build -W -n docs docs/_build/html``."""

import os
import sys
from importlib import import_module

import django
from django.conf import settings

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(FOLDER), FOLDER]

settings.configure(
    SECRET_KEY="only for reading docstrings",
    INSTALLED_APPS=["django_payment_webhooks"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    USE_TZ=True,
)
django.setup()
import_module("presets").write_pages(os.path.join(FOLDER, "providers"))

project = "django-payment-webhooks"
author = "The django-payment-webhooks contributors"
copyright = "2026, " + author
version = release = import_module("django_payment_webhooks").__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "providers/_*"]
html_theme = "furo"
html_title = f"{project} {release}"
# Read the Docs says where the default version is: search engines should not show an old one.
html_baseurl = os.environ.get("READTHEDOCS_CANONICAL_URL", "")

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
# Names of other projects: their pages can't be looked up while these are built.
nitpick_ignore_regex = [("py:.*", r"(typing|datetime|decimal|django|celery|hashlib|re)(\..*)?")]
