"""The app's exceptions, named for their consequences."""


class WebhookRefused(Exception):
    """The webhook is refused with an error, and none of its events is applied.

    ``status`` is the HTTP status, ``reason`` a machine-readable word for logs and metrics,
    ``headers`` are added to the response, and the message is what the sender reads.
    """

    def __init__(self, status: int, reason: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.headers = headers


class Answered(Exception):
    """The request, such as a ping or a challenge, carries no event. ``args[0]`` is the response."""


class PermanentFailure(Exception):
    """Raised by a handler when retrying is pointless. The event becomes ``failed`` at once."""


class NotReady(Exception):
    """Raised by a handler when the event must wait for one that has not been applied yet."""


class NothingToDo(Exception):
    """Raised by a handler when an event has no effect. It becomes ``ignored``, with this reason.

    Everything the handler did is undone, and no idempotency key is claimed: an unpaid session must
    not keep the payment that follows it from paying the order.
    """


class Overtaken(Exception):
    """Another process changed the event's row first, and now owns the event."""
