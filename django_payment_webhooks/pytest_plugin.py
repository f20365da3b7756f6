"""The fixture for the host's tests.

pytest loads it automatically, even in projects that do not use the app. So this module is as small
as possible, and imports nothing from Django until a test asks for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Iterator

import pytest


@pytest.fixture
def payment_webhooks() -> Iterator[Any]:
    """Play the payment provider, the worker and the clock, without a broker.

    The fixture is the module ``django_payment_webhooks.testing``.
    """
    testing = import_module("django_payment_webhooks.testing")
    with testing.without_broker():
        yield testing
