"""No preset is without vectors, a contract and a short module."""

import importlib
import inspect
import os
import pkgutil
import textwrap
import time

import pytest

from django_payment_webhooks.providers import Provider, find_preset, presets
from django_payment_webhooks.providers.declarative import UNPROVED
from django_payment_webhooks.providers.headers import find_meta_name
from django_payment_webhooks.providers.signatures import list_names

from ...test_architecture import SOURCES, count_code_lines
from .contract import Contract, load_vectors

NAMES = sorted(module.name for module in pkgutil.iter_modules(presets.__path__))
# The types of the largest have their conditions, which are lines of data.
MAX_DATA_LINES = 45
MAX_METHOD_LINES = 20


def test_there_are_presets():
    assert "stripe" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_has_a_contract(name):
    module = importlib.import_module(f"{__package__}.test_{name}")
    contracts = [
        each for each in vars(module).values() if isinstance(each, type) and each is not Contract
    ]
    assert any(issubclass(each, Contract) and each.events for each in contracts)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_that_proves_something_has_vectors_of_both_kinds(name):
    vectors = load_vectors(name)
    assert all(vector["source"] for vector in vectors)
    if find_preset(name).proof != UNPROVED:
        assert any(vector["expect_valid"] for vector in vectors)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_short_and_never_writes_the_loop_again(name):
    assert issubclass(find_preset(name), Provider)
    own = set(vars(find_preset(name)))
    assert not own & {"verify", "parse", "parse_events", "parse_event", "answer", "read"}
    methods = [each for each in vars(find_preset(name)).values() if inspect.isfunction(each)]
    sources = [textwrap.dedent(inspect.getsource(method)) for method in methods]
    lines = sum(count_code_lines(source) for source in sources)
    assert lines <= MAX_METHOD_LINES
    assert count_code_lines(SOURCES[f"providers.presets.{name}"]) - lines <= MAX_DATA_LINES


def test_no_vectors_are_left_over():
    folder = os.path.dirname(__file__)
    names = os.listdir(os.path.join(os.path.dirname(folder), "vectors"))
    assert {name[: -len(".json")] for name in names} <= set(NAMES)


@pytest.mark.parametrize("piece", ["a", ",", "v1=", "a/", "0,", " t=1"])
@pytest.mark.parametrize("name", NAMES)
def test_a_long_signature_is_searched_in_one_pass(name, piece):
    provider = find_preset(name)("made")
    long = piece * (2**16 // len(piece))
    names = [*list_names(provider.signature_header), provider.timestamp_header]
    meta = {find_meta_name(each): long for each in names}
    began = time.process_time()
    provider.find_signatures(meta, b"a=" + long.encode())
    provider.read_timestamp(meta)
    # In one pass it takes some milliseconds; from each character again, many seconds.
    assert time.process_time() - began < 1
