"""A host for each test that asks for one, and a database for those that need a server's."""

import os
import uuid

import environ
import pytest

from .projects import Project


@pytest.fixture
def make_host(tmp_path):
    """Make a throw-away project: see ``projects.py``."""
    return lambda **changes: Project(tmp_path, **changes)


@pytest.fixture
def postgres():
    """Return the settings of a new PostgreSQL database, which is dropped at the end."""
    url = os.environ.get("TEST_POSTGRES_URL")
    if not url:
        pytest.skip("needs PostgreSQL: TEST_POSTGRES_URL")
    psycopg = pytest.importorskip("psycopg", reason="psycopg 3 needs a newer Python.")
    name = f"host_{uuid.uuid4().hex}"
    with psycopg.connect(url, dbname="postgres", autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        yield {**environ.Env.db_url_config(url), "NAME": name}
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
