"""Counts what was received in each hour, once the hour is over and only statuses still change.

This spares the overview from reading millions of events again. Each sweep counts one hour, and a
week of them is kept. If an event of an hour is deleted or arrives late, the hour is counted again.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, router, transaction
from django.db.models import Q
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django.utils import timezone

from .. import signals
from ..models import Event
from .models import CountedHour
from .received import HOUR, count_by_status, find_latest, find_received, read_groups

# As far back as the overview looks.
KEPT = 168 * HOUR
# How long after an hour the last transaction that stored one of its events must have ended.
SETTLING = timedelta(minutes=10)
# The most events of other hours that may be among those of an hour.
MAX_STRAYS = 500


@receiver(signals.sweep_finished, dispatch_uid="payment_webhooks.history.hours")
def count_next_hour(**_: Any) -> bool:
    """Count the newest hour that is over and not yet counted. Returns whether there was one."""
    newest = (timezone.now() - SETTLING).replace(minute=0, second=0, microsecond=0) - HOUR
    oldest = newest - KEPT
    counted = set(CountedHour.objects.filter(start__gt=oldest).values_list("start", flat=True))
    start = newest
    while start in counted:
        start -= HOUR
    if start <= oldest:
        return False
    hour = count_hour(start)
    with suppress(IntegrityError), transaction.atomic(using=router.db_for_write(CountedHour)):
        hour.save(force_insert=True)
    CountedHour.objects.filter(start__lte=oldest).delete()
    return True


def count_hour(start: datetime) -> CountedHour:
    """Return what was received in an hour."""
    groups = read_groups(start)
    if not groups:
        return CountedHour(start=start)
    statuses = count_by_status(groups)
    first, last = min(group.first for group in groups), max(group.last for group in groups)
    strays = find_strays(start, first, last)
    return CountedHour(
        start=start,
        number=sum(statuses.values()) + len(strays),
        first=first,
        last=last,
        strays=json.dumps(strays),
        usual=max(statuses, key=lambda status: statuses[status]),
        latest=json.dumps(find_latest(groups)),
        is_exact=len(strays) <= MAX_STRAYS,
    )


def find_strays(start: datetime, first: int, last: int) -> list[int]:
    """Return the events of other hours with primary keys between two others, up to a bound."""
    between = Event.objects.filter(pk__range=(first, last))
    others = between.exclude(pk__in=find_received(start).values("pk"))
    return list(others.values_list("pk", flat=True)[: MAX_STRAYS + 1])


@receiver([post_save, post_delete], sender=Event, dispatch_uid="payment_webhooks.history.forget")
def forget_hours(instance: Event, created: bool = True, **_: Any) -> None:
    """Forget the count of an hour that loses an event, or gains one after it is over."""
    age = timezone.now() - instance.received_at
    if not created or not SETTLING < age < KEPT + 2 * HOUR:
        return
    received_at, key = instance.received_at, instance.pk
    is_within = Q(start__gt=received_at - HOUR, start__lte=received_at)
    is_between = Q(first__lte=key, last__gte=key)
    found = list(CountedHour.objects.filter(is_within | is_between).values_list("pk", flat=True))
    if found:  # delete by primary key, which locks no neighbours
        CountedHour.objects.filter(pk__in=found).delete()
