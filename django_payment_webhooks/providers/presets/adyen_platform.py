"""Adyen: the webhooks of platforms (balance accounts, transfers, management).

Signature: https://docs.adyen.com/development-resources/webhooks/secure-webhooks ("Verify HMAC
signatures"), over the whole body, in the header ``hmacsignature``; the key is in hex. Events:
https://docs.adyen.com/api-explorer/balanceplatform-webhooks/latest/overview. Payments come by the
preset ``adyen``; here nothing is a charge, and types keep Adyen's names.

An event is its type, its object and its time; of a transfer also its number in the sequence.
"""

from .. import Provider


class Preset(Provider):
    """Adyen signs the whole body here."""

    docs = "https://docs.adyen.com/development-resources/webhooks"
    events = ("Transfer webhook", "Configuration webhook")
    resends_for = 30 * 24 * 60 * 60
    key_encoding = "hex"
    signature_header = "hmacsignature"
    signature_encoding = "base64"
    amount_unit = "minor"
    exponents = {"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2}
    object_path = "data"
    fields = {
        "provider_event_id": "{type}:{.id?}{.accountHolder.id?}{.balanceAccount.id?}"
        "{.paymentInstrument.id?}{.merchantId?}:{.sequenceNumber?}:{.status?}"
        "{.paymentInstrument.status?}:{timestamp?}{createdAt?}",
        "type": "type",
        "occurred_at": ("timestamp", "createdAt", ".creationDate"),
        "order_id": (".reference", ".referenceForBeneficiary"),
        "payment_id": ".categoryData.paymentPspReference",
        "amount": ".amount.value",
        "currency": ".amount.currency",
    }
