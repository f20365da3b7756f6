"""What can go wrong, by what follows from it."""


class WebhookRefused(Exception):
    """The webhook is answered with an error, and none of its events is applied.

    ``status`` is the HTTP status, ``reason`` a machine-readable word for logs and metrics, ``headers`` go into the
    answer, and the message is the sentence that the sender reads.
    """

    def __init__(self, status: int, reason: str, message: str, **headers: str):
        super().__init__(message)
        self.status, self.reason, self.headers = status, reason, headers


class ParseError(WebhookRefused):
    """A signed body can't be understood. The message says what is missing or wrong in it."""


class PermanentFailure(Exception):
    """Raised by a handler: trying again is pointless. The event becomes ``failed`` at once."""


class NotReady(Exception):
    """What the event requires has not been applied yet: it waits."""


class Overtaken(Exception):
    """Somebody else changed the event's row first, so the event is theirs now."""
