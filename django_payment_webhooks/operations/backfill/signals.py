"""What a backfill found, reported after all of it was stored."""

from django.dispatch import Signal

# provider (its name), report (a Report of the run that is finished); the sender is the class Run
webhooks_missed = Signal()
