"""MoonPay.

Signature: https://dev.moonpay.com/api-reference/widget/webhooks/signature: hex over the time and
the body; the key is that for webhooks. Events:
https://dev.moonpay.com/api-reference/widget/webhooks/buy. They come in any order, and more than
once.

An event has no id: it is its name, its transaction, the status and the last change. Give your
order's number as ``externalTransactionId``. What an event says is what was spent in the customer's
currency, without the fees. Nothing is refunded or disputed by a webhook.
"""

from .. import Provider


class Preset(Provider):
    """MoonPay signs the time and the body."""

    docs = "https://dev.moonpay.com/api-reference/widget/webhooks/overview"
    events = ("transaction_updated", "transaction_failed")
    signature_header = "Moonpay-Signature-V2"
    signature_template = "t={timestamp},s={signature}"
    content = "{timestamp}.{body}"
    object_path = "data"
    fields = {
        "provider_event_id": "{type}:{.id}:{.status?}:{.updatedAt?}",
        "type": "type",
        "occurred_at": (".updatedAt", ".createdAt"),
        "order_id": (".externalTransactionId", "externalTransactionId"),
        "payment_id": ".id",
        "amount": ".baseCurrencyAmount",
        "currency": (".baseCurrency.code", ".baseCurrencyCode"),
    }
    types = {
        "transaction_updated|transaction_created .status=completed": "charge.succeeded",
        "transaction_updated|transaction_failed .status=failed": "charge.failed",
    }
