"""The fixture for the host's tests.

pytest finds it by itself, also in projects that do not use the app. So this module is as small as
it can be, and imports nothing of Django's before a test asks for it.
"""

from importlib import import_module
from typing import Any, Iterator

import pytest


@pytest.fixture
def payment_webhooks() -> Iterator[Any]:
    """Play the provider, the worker and the clock: the module ``testing``, without a broker."""
    testing = import_module("django_payment_webhooks.testing")
    with testing.without_broker():
        yield testing
