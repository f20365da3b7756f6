"""``manage.py create_orders``."""

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from shop.models import Order

BATCH = 500  # SQLite takes at most 999 values in one statement


class Command(BaseCommand):
    """Create orders that wait to be paid."""

    help = (
        "Create orders that wait to be paid. An order that exists is left as it is, so the command "
        "can be repeated. Example: create_orders A1 A2 --amount 25.00, or create_orders --count "
        "1000 --prefix load-"
    )

    def add_arguments(self, parser):
        """Add the arguments."""
        parser.add_argument(
            "ids", nargs="*", metavar="id", help="the id of an order, up to 64 characters"
        )
        parser.add_argument(
            "--amount", default="10.00", help="what each order costs (default: %(default)s)"
        )
        parser.add_argument(
            "--currency", default="EUR", help="the currency, three letters (default: %(default)s)"
        )
        parser.add_argument(
            "--count",
            type=int,
            default=0,
            metavar="N",
            help="create N orders more, numbered from 1",
        )
        parser.add_argument(
            "--prefix", default="order-", help="what their ids begin with (default: %(default)s)"
        )

    def handle(self, *args, **options):
        """Create what is missing, and print how many orders that were."""
        wanted = options["ids"] + [
            options["prefix"] + str(number + 1) for number in range(options["count"])
        ]
        if not wanted:
            raise CommandError("Name the orders, or say how many with --count.")
        orders = [
            Order(id=name, amount=options["amount"], currency=options["currency"])
            for name in dict.fromkeys(wanted)
        ]
        try:
            for order in orders:
                order.clean_fields()
            created = sum(
                self.create(orders[start : start + BATCH]) for start in range(0, len(orders), BATCH)
            )
        except ValidationError as error:
            raise CommandError(
                f"The order {order.id!r} can't be created: {error.message_dict}"
            ) from error
        except IntegrityError as error:
            # Some databases take "a1" and "A1" for the same id.
            raise CommandError(f"For this database two of the ids are the same: {error}") from error
        self.stdout.write(f"{created} orders created, {len(orders) - created} existed")

    def create(self, orders):
        """Create those of a batch that are missing, and return how many they were."""
        found = Order.objects.filter(pk__in=[order.pk for order in orders])
        existing = set(found.values_list("pk", flat=True))
        missing = [order for order in orders if order.pk not in existing]
        return len(Order.objects.bulk_create(missing))
