"""Asks providers about events whose webhooks prove too little.

Each function is the option ``CONFIRM`` of a provider. It returns what the webhook would say if it
were true, in the webhook's own form. Whatever it raises is an attempt that failed.
"""

from urllib.parse import quote

import requests
from django.conf import settings


def fetch(url, authorization, identifier):
    """Return the object of a provider with an id."""
    # The id is whatever the sender wrote.
    answer = requests.get(
        f"{url}/{quote(identifier, safe='')}",
        headers={"Authorization": authorization},
        timeout=settings.DOWNSTREAM_TIMEOUT,
    )
    answer.raise_for_status()
    return answer.json()


def confirm_yookassa(event):
    """Return the event with the payment or the refund as YooKassa has it."""
    sent = event.payload
    kind = "refunds" if sent["event"].startswith("refund.") else "payments"
    url = f"{settings.YOOKASSA_URL}/{kind}"
    found = fetch(url, settings.YOOKASSA_AUTHORIZATION, str(sent["object"]["id"]))
    return {"event": sent["event"], "object": found}


def confirm_mollie_classic(event):
    """Return the payment as Mollie has it."""
    url = f"{settings.MOLLIE_URL}/payments"
    return fetch(url, settings.MOLLIE_AUTHORIZATION, event.payment_id)
