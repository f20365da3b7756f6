"""Robokassa: called by POST or GET, with the shop's own parameters among what is signed."""

import pytest
from django.test import Client

from django_payment_webhooks.models import Event
from django_payment_webhooks.providers import find_preset

from .contract import Contract

ADDRESS = "/v1/webhooks/payment/made"


def make(**options):
    """Return the provider."""
    return find_preset("robokassa")("made", SECRETS=[TestRobokassa.secret], **options)


class TestRobokassa(Contract):
    secret = "passw0rd_2"
    events = [
        (
            "OutSum=100.26&InvId=450009&Fee=0.00&PaymentMethod=BankCard&Shp_order=77",
            {
                "type": "charge.succeeded",
                "provider_event_id": "450009",
                "order_id": "450009",
                "payment_id": "450009",
                "money": "100.26 RUB",
            },
        ),
        ("OutSum=100.260000&InvId=450010", {"type": "charge.succeeded", "money": "100.26 RUB"}),
        ("OutSum=5&InvId=1", {"money": "5.00 RUB"}),
    ]


def sign(query):
    """Return a query with its signature."""
    key = TestRobokassa.secret.encode()
    return f"{query}&SignatureValue={make().sign(key, {}, query.encode())}"


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_call_by_either_method_is_answered_with_its_number(
    transactional_db, settings, published, method
):
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {
        "made": {"PRESET": "robokassa", "SECRETS": [TestRobokassa.secret]}
    }
    body = sign("OutSum=100.26&InvId=450009&Shp_order=77")
    if method == "get":
        answer = Client().get(f"{ADDRESS}?{body}")
    else:
        answer = Client().post(ADDRESS, body, "application/x-www-form-urlencoded")
    assert (answer.status_code, answer.content) == (200, b"OK450009")
    event = Event.objects.get()
    assert (event.type, event.order_id, str(event.occurred_at.year)) != ("", "", "1970")
    assert event.provider_event_id == "450009"


def test_the_parameters_of_the_shop_are_signed_in_the_order_of_their_names():
    content = make().fill_content({}, b"Shp_10=c&InvId=1&Shp_1=b&OutSum=2&shp_a=d", key=b"p")
    assert content == b"2:1:p:Shp_1=b:Shp_10=c:shp_a=d"


@pytest.mark.parametrize("change", [("100.26", "1.00"), ("450009", "450010"), ("=77", "=78")])
def test_what_is_signed_cant_be_changed(change):
    signed = sign("OutSum=100.26&InvId=450009&Shp_order=77")
    key = TestRobokassa.secret.encode()
    changed = signed.replace(*change).encode()
    assert make().matches(key, {}, signed.encode(), "", make().find_signatures({}, signed.encode()))
    assert not make().matches(key, {}, changed, "", make().find_signatures({}, changed))
