import pytest

# Its assertions are those of every test here, and are to say what differs.
pytest.register_assert_rewrite(f"{__name__}.judge")
