"""What the host project does with an event: one class for each type."""

import abc

from .models import Event


class Handler(abc.ABC):
    """What one type of event does. Only :meth:`apply` must be written."""

    #: The types of event that must have been applied to the same order before.
    requires: tuple = ()

    def idempotency_key(self, event: Event) -> str:
        """Return the name of the effect; two events with the same name have it once. By default the event's own."""
        return "event:" + event.dedup_key

    def is_ready(self, event: Event) -> bool:
        """Return whether the event can be applied; until then it waits. Called in the transaction."""
        applied = Event.objects.filter(
            order_key=event.order_key, idempotency_key__isnull=False
        ).exclude(order_id="")
        return not self.requires or set(self.requires) <= set(
            applied.values_list("type", flat=True)
        )

    def prepare(self, event: Event) -> None:
        """Read what takes long, such as the provider's own view of the payment. Called without a transaction."""

    @abc.abstractmethod
    def apply(self, event: Event) -> None:
        """Change the database. Called in a transaction that commits this and the event's status, or neither."""

    def deliver(self, event: Event) -> None:
        """Call other systems, with ``event.idempotency_key``. Called after the commit, until it succeeds."""
