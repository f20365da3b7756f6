"""The settings of a host that has its types checked."""

SECRET_KEY = "only-for-a-check"
INSTALLED_APPS = [
    "django_payment_webhooks",
    "django_payment_webhooks.operations.backfill.apps.BackfillConfig",
    "shop",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
USE_TZ = True
PAYMENT_WEBHOOKS_PROVIDERS = {
    "default": {"SECRETS": ["a-secret-of-the-default-partner!"]},
    "acquirer": {
        "BACKEND": "shop.acquirer.Acquirer",
        "SECRETS": ["a-secret-of-the-acquirer!!!!!!!!"],
    },
}
PAYMENT_WEBHOOKS_SOURCES = {"acquirer": "shop.acquirer.AcquirerSource"}
PAYMENT_WEBHOOKS_HANDLERS = {
    "charge.succeeded": "shop.handlers.MarkOrderPaid",
    "refund.created": "shop.handlers.RecordRefund",
    "invoice.sent": "shop.handlers.NoteInvoice",
}
