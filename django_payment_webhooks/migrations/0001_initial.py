"""The table of events."""

from django.db import migrations, models


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
                ("dedup_key", models.CharField(max_length=40)),
                ("type", models.CharField(max_length=255)),
                ("order_id", models.CharField(blank=True, max_length=255)),
                ("order_key", models.CharField(max_length=40)),
                ("occurred_at", models.DateTimeField()),
                ("received_at", models.DateTimeField()),
                ("body", models.BinaryField()),
                ("payload_path", models.CharField(blank=True, max_length=255)),
                ("verified_by", models.CharField(blank=True, max_length=12)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("received", "received"),
                            ("waiting", "waiting"),
                            ("applied", "applied"),
                            ("processed", "processed"),
                            ("duplicate", "duplicate"),
                            ("ignored", "ignored"),
                            ("failed", "failed"),
                        ],
                        default="received",
                        max_length=16,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("version", models.PositiveIntegerField(default=0)),
                ("due_at", models.DateTimeField(null=True)),
                ("enqueue_at", models.DateTimeField(null=True)),
                ("waiting_since", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("idempotency_key", models.CharField(max_length=40, null=True)),
                ("error", models.TextField(blank=True)),
            ],
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["enqueue_at"], name="payment_webhooks_enqueue_at"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["order_key"], name="payment_webhooks_order_key"),
        ),
        migrations.AlterUniqueTogether(
            name="event",
            unique_together=set([("dedup_key",), ("idempotency_key",)]),
        ),
    ]
