"""The naive workers: lock the row, mark the order as paid, mark the row, commit."""

from __future__ import annotations

from celery import shared_task
from django.db import connection, transaction
from django.utils import timezone
from shop.models import Order

from ..handlers import mark_paid
from .models import Event


@shared_task
def process(pk: int) -> None:
    """Process an event by four statements of SQL."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT status, order_id, body FROM naive_event WHERE id = %s FOR UPDATE", [pk]
        )
        status, order_id, _ = cursor.fetchone()
        if status != "received":
            return
        mark_paid(order_id)
        cursor.execute(
            "UPDATE naive_event SET status = 'processed', processed_at = %s WHERE id = %s",
            [timezone.now(), pk],
        )


@shared_task
def process_with_orm(pk: int) -> None:
    """Process an event by the ORM."""
    with transaction.atomic():
        event = Event.objects.select_for_update().get(pk=pk)
        if event.status != Event.RECEIVED:
            return
        Order.objects.filter(pk=event.order_id).update(status=Order.PAID, paid_at=timezone.now())
        event.status = Event.PROCESSED
        event.processed_at = timezone.now()
        event.save(update_fields=["status", "processed_at"])


@shared_task
def do_nothing(number: int) -> None:
    """Cost what Celery costs."""
