"""``manage.py shop_state``."""

import json

from django.core.management.base import BaseCommand

from django_payment_webhooks.models import Event
from shop.models import Dispute, LedgerEntry, Order, Refund


def read(model, names):
    """Return these fields of all rows, sorted: each database sorts texts in its own way."""
    rows = [dict(zip(names, row)) for row in model.objects.values_list(*names)]
    return sorted(rows, key=lambda row: [str(row[name]) for name in names])


def as_text(value):
    """Return a moment in ISO 8601, and a sum of money as its digits."""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


class Command(BaseCommand):
    """Print what the shop and the payment app know."""

    help = (
        "Print one JSON object with all orders, refunds, disputes, events and ledger entries, each "
        "list sorted. Sums of money are strings, times are ISO 8601. The ledger has one entry for "
        "each effect: an effect that happened twice is in it twice."
    )

    def add_arguments(self, parser):
        """Add the options."""
        parser.add_argument(
            "--indent", type=int, metavar="SPACES", help="print it over many lines, for people"
        )

    def handle(self, *args, **options):
        """Print the state."""
        # The events first: the effects of an event that is processed here can't be missing below.
        events = read(
            Event,
            ["provider", "provider_event_id", "type", "order_id", "status", "attempts", "error"],
        )
        state = {
            "orders": read(Order, ["id", "status", "paid_at", "amount", "currency"]),
            "refunds": read(Refund, ["id", "order_id", "refund_id", "amount"]),
            "disputes": read(Dispute, ["id", "order_id", "dispute_id"]),
            "events": events,
            "ledger": read(LedgerEntry, ["kind", "order_id", "reference", "amount"]),
        }
        self.stdout.write(json.dumps(state, default=as_text, indent=options["indent"]))
