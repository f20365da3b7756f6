"""Robokassa.

https://docs.robokassa.ru/ru/notifications-and-redirects: the ``SignatureValue`` is a digest of the
sum, the number of the invoice, your *password 2* and your own ``Shp_`` parameters, sorted by name;
cross-read with artgas1/robokassa-mcp 5f2ae1f, ``src/robokassa/webhooks.py``. ``DIGEST`` is what the
shop's technical settings say, which is MD5 at first; choose SHA-256 there. The sum is signed as it
is written, which can be with six decimals. The answer is ``OK`` and the number.

``ResultURL`` is called once money has come, and for nothing else: by POST or by GET, as the
settings say. It says no time, and no currency, which is RUB; in Kazakhstan set ``FIELDS`` to
``{"currency": "=KZT"}``. An invoice is paid once: its number is the event, the order and the
payment. You choose password 2, so one of 8 characters is accepted: use 20. A payment in test mode
is signed with the password of the tests, which does not belong in ``SECRETS``.
"""

from __future__ import annotations

from typing import Any, Mapping

from .. import Provider


class Preset(Provider):
    """Robokassa puts the signature into the form, and reads the invoice's number back."""

    docs = "https://docs.robokassa.ru/ru/notifications-and-redirects"
    events = ("ResultURL, in the shop's technical settings",)
    addresses = ("185.59.216.65", "185.59.217.65")
    min_key_length = 8
    proof = "hash"
    digest = "md5"
    signature_field = "SignatureValue"
    content = "{form:OutSum}:{form:InvId}:{secret}"
    body_format = "query"
    answer_body = "OK{InvId}"
    fields = {
        "provider_event_id": "InvId",
        "type": "=paid",
        "order_id": "InvId",
        "payment_id": "InvId",
        "amount": "OutSum",
        "currency": "=RUB",
    }
    types = {"paid": "charge.succeeded"}

    def fill_content(
        self, meta: Mapping[str, Any], body: bytes, timestamp: str = "", key: bytes = b""
    ) -> bytes:
        """Return the usual content, with the shop's own parameters after it."""
        form = sorted(self.read_signed(body).items())
        own = "".join(f":{name}={value}" for name, value in form if name.lower().startswith("shp_"))
        return super().fill_content(meta, body, timestamp, key) + own.encode("utf-8", "replace")
