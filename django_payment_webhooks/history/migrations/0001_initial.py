"""The tables of the history."""

from django.db import migrations, models
from django.utils import timezone


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("payment_webhooks", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Sweep",
            fields=[
                ("id", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ("finished_at", models.DateTimeField()),
                ("enqueued", models.PositiveIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="CountedHour",
            fields=[
                ("start", models.DateTimeField(primary_key=True, serialize=False)),
                ("number", models.PositiveIntegerField(default=0)),
                ("first", models.BigIntegerField(default=0)),
                ("last", models.BigIntegerField(default=0)),
                ("usual", models.CharField(default="processed", max_length=9)),
                ("strays", models.TextField(default="[]")),
                ("latest", models.TextField(default="{}")),
                ("is_exact", models.BooleanField(default=True)),
            ],
        ),
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                ("verb", models.CharField(max_length=16)),
                ("attempts", models.PositiveIntegerField()),
                ("text", models.TextField(blank=True)),
                ("traceback", models.TextField(blank=True)),
                ("by", models.CharField(blank=True, max_length=255)),
                (
                    "event",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=models.CASCADE,
                        related_name="history",
                        to="payment_webhooks.Event",
                    ),
                ),
                (
                    "other",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=models.SET_NULL,
                        related_name="+",
                        to="payment_webhooks.Event",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "entries",
            },
        ),
        migrations.CreateModel(
            name="AuditRecord",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                ("by", models.CharField(blank=True, max_length=255)),
                ("verb", models.CharField(max_length=32)),
                ("subject", models.TextField()),
                ("reason", models.TextField(blank=True)),
                ("number", models.PositiveIntegerField(default=1)),
            ],
        ),
        migrations.CreateModel(
            name="Conflict",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                ("difference", models.TextField(blank=True)),
                ("closed_at", models.DateTimeField(db_index=True, null=True)),
                ("closed_by", models.CharField(blank=True, max_length=255)),
                ("note", models.TextField(blank=True)),
                (
                    "event",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=models.CASCADE,
                        related_name="conflicts",
                        to="payment_webhooks.Event",
                    ),
                ),
                (
                    "other",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=models.SET_NULL,
                        related_name="+",
                        to="payment_webhooks.Event",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Cause",
            fields=[
                ("key", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("exception", models.CharField(blank=True, max_length=255)),
                ("place", models.CharField(blank=True, max_length=255)),
                ("text", models.TextField(blank=True)),
                ("first_seen", models.DateTimeField()),
                ("last_seen", models.DateTimeField(default=timezone.now)),
                ("acknowledged_by", models.CharField(blank=True, max_length=255)),
                ("acknowledged_at", models.DateTimeField(null=True)),
                ("acknowledged_id", models.BigIntegerField(null=True)),
                ("acknowledged_count", models.PositiveIntegerField(default=0)),
                ("note", models.TextField(blank=True)),
            ],
        ),
        migrations.CreateModel(
            name="Rejection",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("hour", models.DateTimeField()),
                ("provider", models.CharField(blank=True, max_length=64)),
                ("status", models.PositiveSmallIntegerField()),
                ("reason", models.CharField(max_length=32)),
                ("count", models.PositiveIntegerField(default=0)),
            ],
            options={
                "unique_together": {("hour", "provider", "status", "reason")},
            },
        ),
    ]
