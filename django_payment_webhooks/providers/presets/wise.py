"""Wise.

https://docs.wise.com/guides/developer/webhooks/event-handling: RSA with SHA-256 over the body. The
public key of the production is in this module; for the sandbox set ``SECRETS`` to its own, which is
on the same page. Needs ``[rsa]``. Both keys, and a signed webhook: transferwise/api-docs 4f9a383
and transferwise/digital-signatures-examples c29c362. Resent 25 times within two weeks.

Nothing here is a customer's charge: a transfer is money that you send, and the credit of a balance
names no order. So types keep Wise's names. ``X-Delivery-Id`` is not signed, and each subscription
has its own: an event is its type, its object, its state and its time. A transfer's webhook has no
amount; fetch the transfer.
"""

from .. import Provider
from ..public_keys import PublicKeySignature

PRODUCTION = """-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvO8vXV+JksBzZAY6GhSO
XdoTCfhXaaiZ+qAbtaDBiu2AGkGVpmEygFmWP4Li9m5+Ni85BhVvZOodM9epgW3F
bA5Q1SexvAF1PPjX4JpMstak/QhAgl1qMSqEevL8cmUeTgcMuVWCJmlge9h7B1CS
D4rtlimGZozG39rUBDg6Qt2K+P4wBfLblL0k4C4YUdLnpGYEDIth+i8XsRpFlogx
CAFyH9+knYsDbR43UJ9shtc42Ybd40Afihj8KnYKXzchyQ42aC8aZ/h5hyZ28yVy
Oj3Vos0VdBIs/gAyJ/4yyQFCXYte64I7ssrlbGRaco4nKF3HmaNhxwyKyJafz19e
HwIDAQAB
-----END PUBLIC KEY-----"""


class Preset(PublicKeySignature, Provider):
    """Wise signs the body with one key for everybody."""

    docs = "https://docs.wise.com/guides/developer/webhooks"
    events = ("transfers#state-change", "balances#credit")
    resends_for = 14 * 24 * 60 * 60
    secrets = (PRODUCTION,)
    signature_header = "X-Signature-SHA256"
    ignored_fields = ("subscription_id", "sent_at")
    object_path = "data"
    fields = {
        "provider_event_id": "{event_type}:{.resource.id}:{.current_state?}:{.occurred_at}:"
        "{.amount?}{.post_transaction_balance_amount?}",
        "type": "event_type",
        "occurred_at": (".occurred_at", "sent_at"),
        "payment_id": ".resource.id",
        "amount": ".amount",
        "currency": ".currency",
    }
