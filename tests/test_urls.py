"""The addresses of the webhooks."""

import pytest
from django.urls import Resolver404, resolve, reverse

from django_payment_webhooks.views import receive_webhook


def test_the_addresses_have_names():
    assert reverse("payment_webhooks:receive").rstrip("/") == "/v1/webhooks/payment"
    address = reverse("payment_webhooks:receive_from", kwargs={"provider": "my-partner_2"})
    assert address.rstrip("/") == "/v1/webhooks/payment/my-partner_2"


@pytest.mark.parametrize(
    ("path", "facts"),
    [
        ("payment", {}),
        ("payment/", {}),
        ("payment/default", {"provider": "default"}),
        ("payment/timed/", {"provider": "timed"}),
        ("payment/my-partner_2", {"provider": "my-partner_2"}),
    ],
)
def test_an_address_leads_to_the_view_and_names_the_provider(path, facts):
    match = resolve("/v1/webhooks/" + path)
    assert match.func is receive_webhook
    assert (match.args, match.kwargs) == ((), facts)


@pytest.mark.parametrize(
    "path",
    ["", "pay", "payments", "payment//", "payment/a/b", "payment/a.b", "payment/a b", "x/payment"],
)
def test_any_other_address_is_no_webhook(client, path):
    with pytest.raises(Resolver404):
        resolve("/v1/webhooks/" + path)
    assert client.post("/v1/webhooks/" + path, b"{}", "application/json").status_code == 404
