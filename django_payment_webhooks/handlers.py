"""What the host project does with an event: one class for each type."""

import abc
from typing import Sequence

from .conf import load, settings
from .models import Event


class Handler(abc.ABC):
    """What one type of event does. Only :meth:`apply` must be written.

    Every method is a plain function, neither ``async`` nor a generator. Each but :meth:`deliver`
    can raise :class:`~django_payment_webhooks.exceptions.NothingToDo`; let :meth:`prepare` do so
    where the event alone shows it, as nothing has been claimed by then.
    """

    #: The types of event that must have been applied to the same order, or payment, before.
    requires: Sequence[str] = ()

    @property
    def delivers(self) -> bool:
        """Whether there is something to deliver once the effects are committed."""
        return type(self).deliver is not Handler.deliver

    def idempotency_key(self, event: Event) -> str:
        """Return the name of the effect; two events with the same name have it once.

        By default it is the event's own.
        """
        return f"event:{event.dedup_key}"

    def is_ready(self, event: Event) -> bool:
        """Return whether the event can be applied; until then it waits.

        Called in the transaction. A type that is required counts if another event of it, of the
        same order or of the same payment, has its effect committed, or if that effect was had under
        another event's name.
        """
        policy = load(settings.PAYMENT_WEBHOOKS_RETRY_POLICY)
        return not self.requires or policy.has_had(self.requires, event) is True

    def prepare(self, event: Event) -> None:
        """Read what takes long, such as the provider's own view. Called without a transaction."""

    @abc.abstractmethod
    def apply(self, event: Event) -> None:
        """Change the database. This and the event's status are committed together, or neither."""

    def deliver(self, event: Event) -> None:
        """Call other systems, with ``event.idempotency_key``.

        Called after the commit, until it succeeds.
        """
