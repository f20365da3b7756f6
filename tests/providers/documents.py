"""Documents as a provider can send them: whatever JSON allows, and as deep as is allowed."""

from hypothesis import strategies as st

MAX_DEPTH = 31


def deepen(value, levels):
    """Return a value inside this many objects and lists."""
    for level in range(levels):
        value = [value] if level % 2 else {"": value}
    return value


def is_from_json(number):
    """Return whether a Decimal can come out of JSON, where one that is written short is an int."""
    return abs(number.adjusted()) <= 308 and not str(number).lstrip("-").isdigit()


# NUL and halves of characters, too: JSON can write them as \u0000 and \ud800. Two halves that would
# be one character can't come out of JSON.
TEXTS = st.text() | st.text(alphabet='\0\x1f"\\/\x7f\ud800\udbff\u2028\xe9\U0001f600')
NUMBERS = (
    st.integers()
    | st.integers(10**200, 10**300)
    | st.decimals(allow_nan=False, allow_infinity=False).filter(is_from_json)
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(TEXTS, children, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=3)
# A recursive strategy hardly ever reaches the limit. What VALUES makes is a few levels deep.
DEEP_VALUES = st.builds(deepen, SCALARS, st.integers(0, MAX_DEPTH - 4))
