"""Paddle Billing.

Signature: https://developer.paddle.com/webhooks/signature-verification and
PaddleHQ/paddle-python-sdk 48c8cc0, ``tests/Unit/Notification/test_Verifier.py``. Paddle's SDKs
tolerate 5 seconds, and so does this: keep the clock right, or set ``TOLERANCE``. Events:
https://developer.paddle.com/webhooks/transactions/transaction-completed and
https://developer.paddle.com/webhooks/adjustments/adjustment-created. Resent 60 times in three days,
and manually: https://developer.paddle.com/webhooks/respond-to-webhooks, which has the addresses,
too.

Put ``order_id`` into the custom data of the transaction. An adjustment names only its transaction,
and is a refund, a credit or a chargeback by its action; a refund counts once Paddle has approved
it. A chargeback and its reversal are two adjustments, so the dispute is known by its transaction.
``chargeback_warning`` moves no money, and is not mapped; nor is ``transaction.paid``, which comes
before ``transaction.completed``.
"""

from .. import Provider

LIVE = ("34.232.58.13", "34.195.105.136", "34.237.3.244", "35.155.119.135", "52.11.166.252")
SANDBOX = ("34.194.127.46", "54.234.237.108", "3.208.120.145", "44.226.236.210", "44.241.183.62")
ADJUSTMENT = "adjustment.created|adjustment.updated .action"


class Preset(Provider):
    """Paddle signs the time and the body."""

    docs = "https://developer.paddle.com/webhooks/overview"
    events = ("transaction.completed", "transaction.payment_failed", "adjustment.*")
    dashboard = "https://vendors.paddle.com/transactions-v2/{payment_id}"
    addresses = (*LIVE, "34.212.5.7", *SANDBOX, "100.20.172.113")
    signature_header = "Paddle-Signature"
    signature_template = "ts={timestamp};h1={signature}"
    content = "{timestamp}:{body}"
    tolerance = 5
    amount_unit = "minor"
    ignored_fields = ("notification_id",)
    object_path = "data"
    fields = {
        "provider_event_id": "event_id",
        "type": "event_type",
        "occurred_at": "occurred_at",
        "order_id": ".custom_data.order_id",
        "payment_id": {"adjustment.*": ".transaction_id", "*": ".id"},
        "refund_id": {"refund.*": ".id"},
        "dispute_id": {"dispute.*": ".transaction_id"},
        "amount": {"adjustment.*": ".totals.total", "*": ".details.totals.total"},
        "currency": ".currency_code",
    }
    types = {
        "transaction.completed": "charge.succeeded",
        "transaction.payment_failed": "charge.failed",
        f"{ADJUSTMENT}=refund .status=approved": "refund.created",
        f"{ADJUSTMENT}=refund .status=pending_approval": "refund.pending",
        f"{ADJUSTMENT}=refund .status=rejected|reversed": "refund.failed",
        f"{ADJUSTMENT}=chargeback .status=approved": "dispute.opened",
        f"{ADJUSTMENT}=chargeback .status=reversed": "dispute.won",
        f"{ADJUSTMENT}=chargeback_reverse": "dispute.won",
    }
