"""Signals of what has happened, sent after the commit. Logs and metrics are receivers of them.

All are sent with ``send_robust``: a receiver that raises affects nothing else. The sender is the
view for a webhook, and the event's class for everything else.
"""

from django.dispatch import Signal

# provider (its name), events (each with is_new), seconds (until the answer)
webhook_received = Signal()
# provider (the name in the address, even if there is no such provider), status, reason, seconds,
# error (the exception)
webhook_rejected = Signal()

# An event got the status of the same name: event, error (what the handler raised, or None)
event_received = Signal()
event_waiting = Signal()
event_applied = Signal()
event_processed = Signal()
event_duplicate = Signal()
event_ignored = Signal()
event_failed = Signal()

# Something else happened to an event: event
event_conflicted = Signal()  # other: a later one, not saved if it has the same id
event_released = Signal()  # by: the event that it waited for
event_retried = Signal()  # error
event_overtaken = Signal()  # error: of an attempt whose event another process has since taken
event_replayed = Signal()  # by, reason

# error
enqueue_failed = Signal()
# enqueued (how many events)
sweep_finished = Signal()
