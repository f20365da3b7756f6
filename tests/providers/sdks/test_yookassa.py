"""YooKassa signs nothing: its SDK knows from where webhooks come, and what is in them."""

from ipaddress import ip_network

import pytest

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.providers import find_preset
from django_payment_webhooks.providers.payloads import dump_json

from .judge import load_sdk

security = load_sdk("yookassa.domain.common.security_helper")
notification = load_sdk("yookassa.domain.notification")
NETWORKS = [ip_network(each) for each in security.SecurityHelper.YOOKASSA_NETWORKS]
PAYMENT = {
    "id": "22e12f66-000f-5000-8000-18db351245c7",
    "status": "succeeded",
    "paid": True,
    "amount": {"value": "10.00", "currency": "RUB"},
    "created_at": "2026-11-23T10:00:00.000Z",
    "metadata": {"order_id": "A1"},
}
REFUND = {**PAYMENT, "id": "216749f7-0016-50be-b000-078d43a63ae4", "payment_id": PAYMENT["id"]}


@pytest.fixture
def provider():
    """The provider, behind no proxy."""
    return find_preset("yookassa")("judged", CONFIRM="shop.fetch", TRUSTED_PROXIES=0)


def is_accepted(provider, address):
    """Return our verdict about an address."""
    try:
        return bool(provider.verify({"REMOTE_ADDR": str(address)}, b"{}"))
    except WebhookRefused as refused:
        reason = refused.reason
    assert reason == "address"
    return False


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_the_addresses_of_the_sdk_are_ours_from_the_first_to_the_last(provider, network):
    for address in (network[0], network[-1]):
        assert security.SecurityHelper().is_ip_trusted(str(address))
        assert is_accepted(provider, address)


@pytest.mark.parametrize("network", [each for each in NETWORKS if each.version == 4], ids=str)
def test_the_addresses_beside_them_are_refused(provider, network):
    for address in (network[0] - 1, network[-1] + 1):
        assert not security.SecurityHelper().is_ip_trusted(str(address))
        assert not is_accepted(provider, address)


def test_of_ipv6_we_accept_the_network_that_the_documentation_names(provider):
    # The SDK has four parts of it. Either is YooKassa's own, and the event is confirmed anyway.
    assert not security.SecurityHelper().is_ip_trusted("2a02:5180::1")
    assert is_accepted(provider, "2a02:5180::1")
    assert not is_accepted(provider, "2a02:5181::1")


@pytest.mark.parametrize(
    "event_type, sent",
    [
        ("payment.succeeded", PAYMENT),
        ("payment.waiting_for_capture", {**PAYMENT, "status": "waiting_for_capture"}),
        ("payment.canceled", {**PAYMENT, "status": "canceled", "paid": False}),
        ("refund.succeeded", REFUND),
    ],
)
def test_we_read_what_the_sdk_reads(provider, event_type, sent):
    body = {"type": "notification", "event": event_type, "object": sent}
    theirs = notification.WebhookNotificationFactory().create(body)
    (event,) = provider.parse({}, dump_json(body))
    money = provider.read_money(provider.payload(event.body))
    assert event.provider_event_id == f"{theirs.event}:{theirs.object.id}"
    assert money.amount == theirs.object.amount.value
    assert money.currency == theirs.object.amount.currency
    assert event.payment_id == getattr(theirs.object, "payment_id", theirs.object.id)
    assert event.order_id == theirs.object.metadata["order_id"]
