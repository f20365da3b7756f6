"""The table of events."""

from typing import Any

import django.utils.timezone
from django.db import migrations, models

STATUSES = ["received", "waiting", "applied", "processed", "duplicate", "ignored", "failed"]

# How the failed attempts of a status, and those of a cause, are found and counted. Partial where a
# database can do that: most events have no cause, and are to pay nothing. Not in the model's Meta,
# as old Djangos know no such condition. A later migration that has SQLite make the table again must
# create the index again, too.
CAUSE_INDEX = (
    "CREATE INDEX payment_webhooks_cause ON payment_webhooks_event (status, cause_key, id)"
)
CONDITION = " WHERE cause_key IS NOT NULL"


def create_cause_index(apps: Any, schema_editor: Any) -> None:
    """Create the index of causes, in the way of the database."""
    has_condition = schema_editor.connection.vendor in ("postgresql", "sqlite")
    schema_editor.execute(f"{CAUSE_INDEX}{CONDITION if has_condition else ''}")


class Migration(migrations.Migration):
    initial = True

    dependencies: list = []

    operations = [
        migrations.CreateModel(
            name="Event",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("provider", models.CharField(max_length=64)),
                ("provider_event_id", models.CharField(max_length=255)),
                ("dedup_key", models.CharField(max_length=32)),
                ("fingerprint", models.CharField(blank=True, max_length=32)),
                ("type", models.CharField(max_length=255)),
                ("order_id", models.CharField(blank=True, max_length=255)),
                ("order_key", models.CharField(blank=True, max_length=32)),
                ("payment_id", models.CharField(blank=True, max_length=255)),
                ("payment_key", models.CharField(blank=True, max_length=32)),
                ("occurred_at", models.DateTimeField()),
                (
                    "received_at",
                    models.DateTimeField(db_index=True, default=django.utils.timezone.now),
                ),
                ("verified_by", models.CharField(blank=True, max_length=64)),
                (
                    "status",
                    models.CharField(
                        choices=[(status, status) for status in STATUSES],
                        default="received",
                        max_length=9,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("version", models.PositiveIntegerField(default=0)),
                ("due_at", models.FloatField(null=True)),
                ("enqueue_at", models.FloatField(db_index=True, null=True)),
                ("waiting_since", models.FloatField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("idempotency_key", models.CharField(max_length=32, null=True)),
                ("error", models.TextField(blank=True)),
                ("cause_key", models.CharField(max_length=32, null=True)),
                ("confirmation", models.BinaryField(null=True)),
                ("body", models.BinaryField()),
            ],
            options={"base_manager_name": "objects"},
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["order_key"], name="payment_webhooks_order_key"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["payment_key"], name="payment_webhooks_payment_key"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["status", "id"], name="payment_webhooks_status"),
        ),
        migrations.AlterUniqueTogether(
            name="event",
            unique_together={("dedup_key",), ("idempotency_key",)},
        ),
        # Nothing to undo: the index goes with the table. MySQL has no transaction for it.
        migrations.RunPython(create_cause_index, migrations.RunPython.noop, atomic=False),
    ]
