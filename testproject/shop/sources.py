"""Asks Stripe for events that its webhooks may have missed.

The lists: https://docs.stripe.com/api/events/list and
https://docs.stripe.com/api/payment_intents/list. Stripe lists the events of 30 days, the newest
first, in the form of webhooks.
"""

import requests
from django.conf import settings

from django_payment_webhooks.operations.backfill.sources import Page, Payment, Source
from django_payment_webhooks.providers.money import read_money


class Stripe(Source):
    """Reads Stripe's lists of events and of payment intents."""

    def fetch_events(self, since, until, cursor):
        """Return a page of events, as webhooks have them."""
        return self.fetch("/v1/events", since, until, cursor)

    def fetch_payments(self, since, until, cursor):
        """Return a page of payment intents."""
        page = self.fetch("/v1/payment_intents", since, until, cursor)
        return page._replace(items=[read_payment(intent) for intent in page.items])

    def fetch(self, path, since, until, cursor):
        """Return a page of one of Stripe's lists."""
        parameters = {
            "created[gte]": int(since.timestamp()),
            "created[lt]": int(until.timestamp()),
            "limit": 100,
        }
        if cursor:
            parameters["starting_after"] = cursor
        answer = requests.get(
            settings.STRIPE_URL + path,
            params=parameters,
            headers={"Authorization": f"Bearer {settings.STRIPE_API_KEY}"},
            timeout=30,
        )
        answer.raise_for_status()
        found = answer.json()
        return Page(found["data"], found["data"][-1]["id"] if found["has_more"] else "")


def read_payment(intent):
    """Return a payment intent as a payment."""
    money = read_money(intent["amount_received"], intent["currency"])
    return Payment(
        payment_id=intent["id"],
        amount=money.amount,
        currency=money.currency,
        order_id=intent["metadata"].get("order_id", ""),
        is_paid=intent["status"] == "succeeded",
    )
