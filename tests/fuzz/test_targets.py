"""The targets of the fuzzer can be called: it is not there on every line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .targets import SEEDS, WORDS

pytestmark = pytest.mark.parametrize("target", SEEDS, ids=lambda target: target.__name__)


def test_seeds_and_words_break_no_promise(target):
    for data in SEEDS[target] + WORDS:
        target(data)


@given(data=st.binary() | st.lists(st.sampled_from(WORDS) | st.binary(max_size=5)).map(b"".join))
def test_bytes_of_any_kind_break_no_promise(target, data):
    target(data)
