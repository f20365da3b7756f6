"""The fixture for the host's tests.

pytest finds it by itself, in projects that do not use the app, too. So this module is as small as
it can be, and imports nothing of Django's before a test asks for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Iterator

import pytest


@pytest.fixture
def payment_webhooks() -> Iterator[Any]:
    """Play the payment provider, the worker and the clock, without a broker.

    It is the module ``django_payment_webhooks.testing``.
    """
    testing = import_module("django_payment_webhooks.testing")
    with testing.without_broker():
        yield testing
