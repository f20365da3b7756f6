"""The base class of handlers, which say what the host project does with each type of event."""

import abc
from typing import Sequence

from .conf import load, settings
from .models import Event


class Handler(abc.ABC):
    """The effect of one type of event. Only :meth:`apply` is required.

    Every method is a plain function, neither ``async`` nor a generator. All except :meth:`deliver`
    can raise :class:`~django_payment_webhooks.exceptions.NothingToDo`; raise it in :meth:`prepare`
    if the event alone shows it, as nothing has been claimed by then.
    """

    #: The types of event that must have been applied to the same order or payment first.
    requires: Sequence[str] = ()

    @property
    def delivers(self) -> bool:
        """Whether the handler has something to deliver once the effects are committed."""
        return type(self).deliver is not Handler.deliver

    def idempotency_key(self, event: Event) -> str:
        """Return the name of the effect. Two events with the same name have it only once.

        By default the name is unique to the event.
        """
        return f"event:{event.dedup_key}"

    def is_ready(self, event: Event) -> bool:
        """Return whether the event can be applied; until then it waits.

        Called in the transaction. A required type counts as applied once another event of that
        type, for the same order or payment, has committed its effect, or is a duplicate of an event
        that has.
        """
        policy = load(settings.PAYMENT_WEBHOOKS_RETRY_POLICY)
        return not self.requires or policy.has_had(self.requires, event) is True

    def prepare(self, event: Event) -> None:
        """Do slow reads, such as asking the provider. Called outside the transaction."""

    @abc.abstractmethod
    def apply(self, event: Event) -> None:
        """Change the database. The changes and the event's status are committed together."""

    def deliver(self, event: Event) -> None:
        """Call other systems, passing ``event.idempotency_key``.

        Called after the commit, and again until it succeeds.
        """
