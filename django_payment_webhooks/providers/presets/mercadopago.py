"""Mercado Pago.

https://www.mercadopago.com.ar/developers/en/docs/your-integrations/notifications/webhooks and
mercadopago/sdk-nodejs 4339894, ``src/utils/webhook``: an HMAC of ``data.id`` of the address, of the
header ``x-request-id``, and of a time, each left out if it is missing. The documentation has the id
in lower case, and the SDKs have it as it came (https://github.com/mercadopago/sdk-python/pull/118):
either is accepted. Resent every 15 minutes until the answer is 200 or 201. The time is documented
in milliseconds, and sent in seconds, too: it is not compared with now.

The body is not signed at all. So nothing in it is believed: ``CONFIRM`` names your function, which
fetches what ``event.payment_id`` is, a payment (https://api.mercadopago.com/v1/payments/ and the
id) or an order (https://api.mercadopago.com/v1/orders/ and the id), and returns it as it is. Every
request is an event of its own, since the next one for the same payment can find another state.
Both headers of the identity are signed. Put your order's number into ``external_reference``.
"""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from .. import Provider

# Where an order has its refunds; a payment has them at its root.
LATEST = "transactions.refunds.-1"


class Preset(Provider):
    """Mercado Pago signs the address and a header, not the body."""

    docs = (
        "https://www.mercadopago.com.ar/developers/en/docs/your-integrations/notifications/webhooks"
    )
    events = ("Payments", "Orders")
    needs_confirmation = True
    signature_header = "x-signature"
    signature_template = "ts={timestamp},v1={signature}"
    content = "[id:{query:data.id};][request-id:{header:x-request-id};]ts:{timestamp};"
    timestamp_unit = "ms"
    tolerance = None
    ignored_fields = ("delivery:",)
    test_mode = "live_mode=false"
    fields = {
        "provider_event_id": (
            "{query:data.id}:{header:x-request-id}",
            "{query:data.id}:{delivery:}",
        ),
        "type": ("status", "action", "type", "=payment.changed"),
        "occurred_at": ("date_last_updated", "last_updated_date", "date_created"),
        "order_id": "external_reference",
        "payment_id": "query:data.id",
        "refund_id": {"refund.*": ("refunds.-1.id", f"{LATEST}.id")},
        "dispute_id": {"dispute.*": "id"},
        "amount": {
            "refund.*": ("refunds.-1.amount", f"{LATEST}.amount"),
            "*": ("transaction_amount", "total_amount"),
        },
        "currency": ("currency_id", "currency"),
    }
    types = {
        "approved|processed status_detail=partially_refunded": "refund.created",
        "approved": "charge.succeeded",
        "processed status_detail=accredited": "charge.succeeded",
        "rejected|cancelled": "charge.failed",
        "refunded": "refund.created",
        "charged_back status_detail=reimbursed": "dispute.won",
        "charged_back status_detail=settled": "dispute.lost",
        "charged_back|in_mediation": "dispute.opened",
    }

    def list_ways(
        self, key: bytes, meta: Mapping[str, Any]
    ) -> Iterator[tuple[bytes, Mapping[str, Any]]]:
        """Yield the id as it came, and in lower case."""
        yield key, meta
        yield key, {**meta, "QUERY_STRING": str(meta.get("QUERY_STRING") or "").lower()}
