"""WooCommerce.

https://woocommerce.com/document/webhooks/ and woocommerce/woocommerce 00e1bc4d,
``includes/class-wc-webhook.php``: an HMAC of the body with the webhook's secret. The order:
https://woocommerce.github.io/woocommerce-rest-api-docs/#orders. Nothing is resent, and after five
failures in a row the webhook is disabled: so a body that can't be read, such as that of a deleted
order, is answered with 200, and kept. When a webhook is made, ``webhook_id=7`` comes as a form that
is not signed; the answer is 200, and nothing happens.

``X-WC-Webhook-Delivery-ID`` is a hash of the webhook and the second: two orders of one second have
the same. No header is signed. So an event is the order, its state, and when it was changed and
paid, which can be one second; its type is ``order.`` and the status. ``completed`` alone is no
payment: it needs the date. The order is in it as it is when the webhook is sent, up to a minute
later; once it has refunds, the event is the latest of these. If two can come within a minute,
compare all ``refunds`` of the payload. A payment is known by the gateway's transaction, or else by
the key of the order.
"""

from __future__ import annotations

import re

from django.http import HttpRequest, HttpResponse

from .. import Provider

PING = re.compile(rb"webhook_id=[0-9]+")


class Preset(Provider):
    """WooCommerce signs the body, which is the whole order."""

    docs = "https://woocommerce.com/document/webhooks/"
    events = ("Order created", "Order updated")
    resends_for = 24 * 60 * 60
    parse_error_status = 200
    signature_header = "X-WC-Webhook-Signature"
    signature_encoding = "base64"
    fields = {
        "provider_event_id": "{id}:{status}:{date_modified_gmt}:{date_paid_gmt?}",
        "type": "order.{status}",
        "occurred_at": "date_modified_gmt",
        "order_id": "id",
        "payment_id": ("transaction_id", "order_key"),
        "refund_id": {"refund.*": "refunds.0.id"},
        "amount": {"refund.*": "refunds.0.total ~ ^-?(.+)$", "*": "total"},
        "currency": "currency",
    }
    types = {
        "order.* refunds.0.id=?*": "refund.created",
        "order.processing|order.completed date_paid_gmt=?*": "charge.succeeded",
        "order.failed": "charge.failed",
    }

    def ping(self, request: HttpRequest) -> HttpResponse | None:
        """Return the answer to the form that asks whether the endpoint exists."""
        if request.method == "POST" and PING.fullmatch(request.body):
            return HttpResponse(content_type="text/plain")
        return super().ping(request)
