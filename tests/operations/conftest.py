"""An event that was paid."""

import pytest

from django_payment_webhooks.models import Event

from .final_events import CANARY


@pytest.fixture
def paid(order, webhook, run_due):
    """Return an order's event that was received by a webhook and processed, and its body."""
    webhook(
        event_id="evt_1",
        order_id="A1",
        amount="10.00",
        currency="EUR",
        charge_id="ch_1",
        name=CANARY,
    )
    run_due()
    return Event.objects.get()
