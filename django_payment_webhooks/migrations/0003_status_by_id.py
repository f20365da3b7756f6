"""Within a status, by the id: to find the newest hundred of many that failed long ago, no table is to be walked."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payment_webhooks", "0002_indexes")]

    operations = [
        migrations.RemoveIndex(model_name="event", name="payment_webhooks_status"),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["status", "id"], name="payment_webhooks_status"),
        ),
    ]
