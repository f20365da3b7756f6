"""Adyen: the webhooks of payments.

Signature: https://docs.adyen.com/development-resources/webhooks/secure-webhooks ("Verify HMAC
signatures") and Adyen/adyen-python-api-library b6f4979, ``Adyen/util.py``: each item has its own,
over eight of its fields joined with colons, none of them escaped. Each item must verify. Events:
https://docs.adyen.com/development-resources/webhooks/webhook-types. Resent for up to 30 days:
https://docs.adyen.com/development-resources/webhooks/troubleshoot. Currencies that Adyen counts
differently: https://docs.adyen.com/development-resources/currency-codes.

A refused and an authorised try share their pspReference, and so do the stages of a dispute: an
event is its reference, its code and its success. If you capture manually, an ``AUTHORISATION`` pays
nothing: set ``TYPES`` to those below without it. ``CANCEL_OR_REFUND`` says what it was in a field
that is not signed. Whether a webhook is ``live`` is not signed, either, and not read: test and live
have a key each. The end of a dispute names the payment, and the dispute as its beginning did, only
if you switch on "Include the originalReference for CHARGEBACK_REVERSED events" in the settings of
the webhook: https://docs.adyen.com/risk-management/disputes-api/dispute-notifications.
"""

from .. import Provider

SIGNED = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")
AMOUNT, STATE = ("amount.value", "amount.currency"), ("eventCode", "success")


class Preset(Provider):
    """Adyen sends a list of items and wants to read ``[accepted]``."""

    docs = "https://docs.adyen.com/development-resources/webhooks"
    events = ("Standard webhook",)
    resends_for = 30 * 24 * 60 * 60
    dashboard = "https://ca-live.adyen.com/ca/ca/accounts/showTx.shtml?pspReference={payment_id}"
    key_encoding = "hex"
    signature_field = "additionalData.hmacSignature"
    signature_encoding = "base64"
    content = ":".join(f"{{json:{path}}}" for path in (*SIGNED, *AMOUNT, *STATE))
    events_path = "notificationItems.*.NotificationRequestItem"
    answer_body = "[accepted]"
    amount_unit = "minor"
    exponents = {"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2}
    fields = {
        "provider_event_id": "{pspReference}:{eventCode}:{success}",
        "type": "eventCode",
        "occurred_at": "eventDate",
        "order_id": "merchantReference",
        "payment_id": ("originalReference", "pspReference"),
        "refund_id": {"refund.*": "pspReference"},
        "dispute_id": {"dispute.*": "pspReference"},
        "amount": "amount.value",
        "currency": "amount.currency",
    }
    types = {
        "AUTHORISATION|CAPTURE success=true": "charge.succeeded",
        "AUTHORISATION success=false": "charge.failed",
        "CAPTURE_FAILED success=true": "charge.failed",
        "REFUND success=true": "refund.created",
        "CANCEL_OR_REFUND success=true additionalData.modification.action=refund": "refund.created",
        "REFUND success=false": "refund.failed",
        "REFUND_FAILED|REFUNDED_REVERSED success=true": "refund.failed",
        "NOTIFICATION_OF_CHARGEBACK|CHARGEBACK success=true": "dispute.opened",
        "CHARGEBACK_REVERSED|PREARBITRATION_WON success=true": "dispute.won",
        "SECOND_CHARGEBACK|PREARBITRATION_LOST success=true": "dispute.lost",
    }
