"""Indexes for the operators: by status, and by the time of receipt."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payment_webhooks", "0001_initial")]

    operations = [
        migrations.RemoveIndex(model_name="event", name="payment_webhooks_enqueue_at"),
        migrations.AlterField(
            model_name="event",
            name="enqueue_at",
            field=models.DateTimeField(db_index=True, null=True),
        ),
        migrations.AlterField(
            model_name="event", name="received_at", field=models.DateTimeField(db_index=True)
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["status"], name="payment_webhooks_status"),
        ),
    ]
