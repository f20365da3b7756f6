"""Reconciliation: compares a provider's list of payments with our effects."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any, Iterator, NamedTuple, Sequence

from django.db.models import Min

from ...conf import get_provider
from ...models import Event, digest
from ...providers.money import MAJOR, Money, read_money
from ...providers.subject import list_providers
from ..batches import iterate
from .paging import Pace, Recent, Step
from .periods import Period, read_stored, read_unix
from .sources import Payment, SourceError, get_source

CHARGE = "charge.succeeded"
EFFECTS = (Event.PROCESSED, Event.APPLIED, Event.DUPLICATE)
NOT_HERE, NOT_THERE, AMOUNT = "not_here", "not_there", "amount"
#: The name of each kind of difference.
WORDS = {
    NOT_HERE: "paid there, not here",
    NOT_THERE: "here, not paid there",
    AMOUNT: "another amount or currency",
}
# How long before it is paid a payment may have been created, in seconds.
LOOKBACK = 24 * 60 * 60
# The most payments to remember for comparing them with ours: some 100 MB.
MAX_PAYMENTS = 1000000
BATCH = 500


class Difference(NamedTuple):
    """A payment that only the provider or only we have, or whose amounts differ.

    ``kind`` is one of ``WORDS``; ``there`` and ``here`` are amounts as text, "" where there is
    none; ``note`` says what else is known.
    """

    kind: str
    payment_id: str
    order_id: str
    there: str
    here: str
    note: str


class Reconciliation:
    """Compares payments, and yields the differences when iterated over.

    ``types`` are the types of our events that say that a payment was made. At the end, ``counts``
    has how many of the provider's payments were ``compared``, how many differences there are of
    each kind, and how many of ours were ``without_amount``.

    Raises ``SourceError`` if the list can't be read.
    """

    def __init__(
        self,
        provider: str,
        period: Period,
        types: Sequence[str] = (CHARGE,),
        pace: Pace | None = None,
    ) -> None:
        self.source = get_source(provider)
        self.provider = get_provider(provider)
        self.period = period
        self.pace = pace or Pace()
        self.counts = Counter({"compared": 0, "without_amount": 0, **dict.fromkeys(WORDS, 0)})
        self.keys: set[int] = set()
        account = self.provider.account
        names = [each.name for each in list_providers() if each.account == account]
        self.charges = Event.objects.filter(provider__in={*names, provider}, type__in=types)

    def __iter__(self) -> Iterator[Difference]:
        for difference in self.compare():
            self.counts[difference.kind] += 1
            yield difference

    def compare(self) -> Iterator[Difference]:
        """Yield the differences: first the provider's payments, then ours."""
        since, until = read_unix(self.period.since - LOOKBACK), read_unix(self.period.until)
        recent = Recent()
        for page in self.pace.read_pages(partial(self.source.fetch_payments, since, until)):
            paid = [Known(self.provider, item) for item in page.items if check(item).is_paid]
            new = [known for known in paid if recent.add(known.key)]
            self.remember(paid)
            self.counts["compared"] += len(new)
            yield from self.compare_page(new)
            self.pace.checked = self.counts["compared"]
            self.pace.watch(Step(self.pace.checked))
        yield from self.find_not_there()

    def remember(self, paid: Sequence[Known]) -> None:
        """Remember the provider's payments. Raises ``SourceError`` if there are too many."""
        self.keys.update(shorten(key) for known in paid for key in known.keys)
        if len(self.keys) > 2 * MAX_PAYMENTS:
            raise SourceError(
                f"The provider has more than {MAX_PAYMENTS} payments in this period. Choose a "
                f"shorter one."
            )

    # ---- there

    def compare_page(self, paid: Sequence[Known]) -> Iterator[Difference]:
        """Yield the differences between a page of the provider's payments and ours."""
        by_payment = self.charges.filter(
            payment_key__in={known.payment_key for known in paid} - {""}
        )
        by_order = self.charges.filter(order_key__in={known.order_key for known in paid} - {""})
        # Two queries, each with its own index.
        ours = {event.pk: event for events in (by_payment, by_order) for event in events}
        for known in paid:
            yield from self.compare_payment(known, [e for e in ours.values() if known.is_of(e)])

    def compare_payment(self, known: Known, events: Sequence[Event]) -> Iterator[Difference]:
        """Yield the differences between one of the provider's payments and our events."""
        effects = [event for event in events if event.status in EFFECTS]
        if not effects:
            yield known.describe(NOT_HERE, note=describe_events(events))
            return
        sums = [money for money in map(find_money, effects) if money is not None]
        if not sums:
            self.counts["without_amount"] += 1
        elif known.money not in sums:
            yield known.describe(AMOUNT, here=str(sums[0]))

    # ---- here

    def find_not_there(self) -> Iterator[Difference]:
        """Yield the payments whose effect we had, and which the provider does not have."""
        since, until = map(read_stored, self.period)
        received = self.charges.filter(received_at__gte=since, received_at__lt=until)
        first = received.aggregate(first=Min("pk"))["first"] or 0
        # From the first primary key on, which saves scanning the whole table.
        effects = received.filter(pk__gte=first, status__in=EFFECTS).defer("body")
        recent = Recent()
        for event in iterate(effects, BATCH):
            key = event.payment_key or event.order_key
            if key and shorten(key) not in self.keys and recent.add(key):
                money = find_money(event)
                yield Difference(
                    NOT_THERE,
                    event.payment_id,
                    event.order_id,
                    "",
                    str(money or ""),
                    f"event {event.provider_event_id}",
                )


class Known:
    """A payment in the provider's list, with the keys that our events have for it."""

    def __init__(self, provider: Any, payment: Payment) -> None:
        self.payment = payment
        shop = [provider.shop] if getattr(provider, "shop", "") else []
        payment_id, order_id = payment.payment_id, payment.order_id
        self.payment_key = digest(provider.account, payment_id) if payment_id else ""
        self.order_key = digest(*shop, order_id) if order_id else ""
        self.keys = [key for key in (self.payment_key, self.order_key) if key]
        self.key = self.payment_key or self.order_key
        try:
            self.money = read_money(payment.amount, payment.currency, MAJOR)
        except ValueError as error:
            raise SourceError(f"The source's payment {payment_id}: {error}.") from error

    def is_of(self, event: Event) -> bool:
        """Return whether an event belongs to this payment.

        An order can be paid twice: another payment of the same order does not match.
        """
        if event.payment_key and self.payment_key:
            return bool(event.payment_key == self.payment_key)
        return bool(self.order_key and event.order_key == self.order_key)

    def describe(self, kind: str, here: str = "", note: str = "") -> Difference:
        """Return a difference of this payment."""
        payment = self.payment
        return Difference(kind, payment.payment_id, payment.order_id, str(self.money), here, note)


def check(item: Any) -> Payment:
    """Return an item of a source. Raises ``SourceError`` if it is not a usable payment."""
    if not isinstance(item, Payment):
        raise SourceError(f"The source gives {type(item).__name__} in place of a Payment.")
    if not item.payment_id and not item.order_id:
        raise SourceError("The source gives a Payment that has neither payment_id nor order_id.")
    return item


def find_money(event: Event) -> Money | None:
    """Return an event's money, or None if it has none or was pruned."""
    try:
        money: Money | None = event.money
    except ValueError:
        return None
    return money


def describe_events(events: Sequence[Event]) -> str:
    """Return in words what became of a payment's events without an effect."""
    if not events:
        return "no event was received"
    found = (f"event {event.provider_event_id} is {event.status}" for event in events)
    return ", ".join(sorted(found))


def shorten(key: str) -> int:
    """Return a number for a key. Among a million, a collision is practically impossible."""
    return int(key[:16], 16)
