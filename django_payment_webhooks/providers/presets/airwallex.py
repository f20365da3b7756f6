"""Airwallex.

Signature: https://www.airwallex.com/docs/developer-tools/webhooks/listen-for-webhook-events: the
time in milliseconds and the body; the secret is used whole, with its ``whsec_``. Events:
https://www.airwallex.com/docs/payments/reference/payments-webhooks. Networks:
https://www.airwallex.com/docs/developer-tools/webhook-ip-addresses, read in November 2026. Resent
for about three days.

Give your order's number as ``merchant_order_id``. Amounts are in major units. A refund is received,
accepted, and settled in the end; older versions of the API say ``refund.succeeded`` for that:
juspay/hyperswitch, ``connectors/airwallex/transformers.rs``.
"""

from .. import Provider

LIVE = """
    35.240.218.67 35.185.179.53 34.87.64.173 35.220.213.251 34.92.128.176 34.91.47.254
    34.91.75.229 35.230.185.215 34.86.42.60 34.177.101.131 34.143.140.106 34.158.57.211
    34.124.183.136 34.126.131.52 34.21.185.174 34.142.140.136 35.236.197.105 34.11.6.7
    34.145.133.253 34.182.195.122 35.186.175.150 34.85.218.163 136.107.34.62 35.186.166.138
    34.21.104.184
"""
SANDBOX = """
    35.240.211.132 35.187.239.216 34.87.139.23 136.110.35.143 34.142.189.194 35.197.128.86
"""
FAILED = "payment_intent.cancelled|payment_attempt.authorization_failed"
ENDS = ("lost", "accepted", "expired")


class Preset(Provider):
    """Airwallex signs the time and the body."""

    docs = "https://www.airwallex.com/docs/developer-tools/webhooks"
    events = ("payment_intent.succeeded", "payment_attempt.*", "refund.*", "payment_dispute.*")
    addresses = (LIVE + SANDBOX).split()
    signature_header = "x-signature"
    content = "{timestamp}{body}"
    timestamp_header = "x-timestamp"
    timestamp_unit = "ms"
    object_path = "data.object"
    fields = {
        "provider_event_id": "id",
        "type": "name",
        "occurred_at": "created_at",
        "order_id": ".merchant_order_id",
        "payment_id": {"payment_intent.*": ".id", "*": ".payment_intent_id"},
        "refund_id": {"refund.*": ".id"},
        "dispute_id": {"dispute.*": ".id"},
        "amount": {"charge.succeeded": (".captured_amount", ".amount"), "*": ".amount"},
        "currency": ".currency",
    }
    types = {
        "payment_intent.succeeded .status=SUCCEEDED": "charge.succeeded",
        f"{FAILED}|payment_attempt.capture_failed": "charge.failed",
        "refund.settled|refund.succeeded": "refund.created",
        "refund.received|refund.accepted": "refund.pending",
        "refund.failed": "refund.failed",
        "payment_dispute.requires_response": "dispute.opened",
        "payment_dispute.won|payment_dispute.reversed": "dispute.won",
        "|".join(f"payment_dispute.{end}" for end in ENDS): "dispute.lost",
    }
