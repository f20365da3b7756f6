"""What can go wrong, by what follows from it."""


class WebhookRefused(Exception):
    """The webhook is answered with an error, and none of its events is applied.

    ``status`` is the HTTP status, ``reason`` a machine-readable word for logs and metrics,
    ``headers`` go into the answer, and the message is the sentence that the sender reads.
    """

    def __init__(self, status: int, reason: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.headers = headers


class Answered(Exception):
    """The request carries no event, and its answer is the first argument: a ping, a challenge."""


class PermanentFailure(Exception):
    """Raised by a handler: trying again is pointless. The event becomes ``failed`` at once."""


class NotReady(Exception):
    """Raised by a handler: what the event requires has not been applied yet. It waits."""


class NothingToDo(Exception):
    """Raised by a handler: this event has no effect. It becomes ``ignored``, with this reason.

    Everything that the handler did is undone, and no idempotency key is claimed: an unpaid session
    must not keep the payment that follows it from paying the order.
    """


class Overtaken(Exception):
    """Another process changed the event's row first, so the event is no longer ours."""
