"""What is sent is what the provider would send: it is read back, and it is signed."""

import json
import time

import pytest

from django_payment_webhooks import testing
from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.models import Event
from django_payment_webhooks.providers import Provider
from django_payment_webhooks.providers.sending import (
    Webhook,
    compose,
    find_provider,
    forge_webhook,
    make_id,
    make_values,
    place,
    sign_webhook,
)

from ..factories import SECRET, sign


def make(**options):
    """Return a provider with these options."""
    return Provider("made", **{"SECRETS": [SECRET], **options})


# ---- every provider


def test_what_is_composed_for_a_provider_is_what_it_reads(sample):
    provider = get_provider(sample.name)
    values = make_values(provider, "charge.succeeded", order_id="A1", amount="25.00")
    webhook = compose(provider, values)
    (event,) = provider.parse(webhook.meta, webhook.body)
    assert (event.type, event.order_id) == ("charge.succeeded", "A1")
    assert event.provider_event_id == values["provider_event_id"]
    data = provider.read(provider.payload(event.body))
    assert (data["amount"], data["currency"]) == ("25.00", "EUR")
    assert data["charge_id"] == values["charge_id"]


def test_what_is_signed_for_a_provider_is_what_it_verifies(sample):
    provider = get_provider(sample.name)
    webhook = compose(provider, make_values(provider, "charge.succeeded", order_id="A1"))
    signed = sign_webhook(provider, webhook)
    assert provider.verify(signed.meta, signed.body)
    assert (signed.body, signed.headers.items() >= webhook.headers.items()) == (webhook.body, True)


def test_what_is_forged_looks_signed_and_is_refused(sample):
    provider = get_provider(sample.name)
    webhook = compose(provider, make_values(provider, "charge.succeeded", order_id="A1"))
    forged = forge_webhook(provider, webhook)
    assert forged.headers.keys() == sign_webhook(provider, webhook).headers.keys()
    with pytest.raises(WebhookRefused) as raised:
        provider.verify(forged.meta, forged.body)
    assert raised.value.reason == "mismatch"


def test_a_webhook_can_be_too_old_if_its_provider_signs_the_time(sample):
    provider = get_provider(sample.name)
    webhook = compose(provider, make_values(provider, "charge.succeeded", order_id="A1"))
    if not sample.has_time:
        with pytest.raises(ValueError, match="signs no time, so that a webhook has no age"):
            sign_webhook(provider, webhook, age=60)
        return
    for age, reason in ((3600, "stale"), (-3600, "future")):
        signed = sign_webhook(provider, webhook, age)
        with pytest.raises(WebhookRefused) as raised:
            provider.verify(signed.meta, signed.body)
        assert raised.value.reason == reason
    signed = sign_webhook(provider, webhook, age=60)
    assert provider.verify(signed.meta, signed.body)


# ---- what an event says


@pytest.mark.parametrize(
    ("event_type", "field"),
    [
        ("charge.succeeded", "charge_id"),
        ("refund.created", "refund_id"),
        ("dispute.opened", "dispute_id"),
    ],
)
def test_an_event_about_money_has_an_id_of_its_own_and_an_amount(event_type, field):
    values = make_values(make(), event_type)
    assert values[field].startswith(event_type.partition(".")[0] + "_")
    assert (values["amount"], values["currency"]) == ("10.00", "EUR")
    assert make_values(make(), event_type)[field] != values[field]


def test_another_event_is_about_no_money():
    assert sorted(make_values(make(), "payout.paid")) == [
        "occurred_at",
        "provider_event_id",
        "type",
    ]


def test_a_field_that_the_provider_does_not_have_is_not_made_up():
    class Terse(Provider):
        fields = {"provider_event_id": "id", "type": "kind"}

    values = make_values(Terse("terse"), "charge.succeeded", note="x")
    assert sorted(values) == ["note", "provider_event_id", "type"]
    body = json.loads(compose(Terse("terse"), values).body.decode())
    assert body == {"id": values["provider_event_id"], "kind": "charge.succeeded", "note": "x"}


def test_no_two_ids_are_the_same():
    assert len({make_id("evt") for _ in range(1000)}) == 1000


def test_a_type_is_sent_as_the_provider_calls_it():
    provider = make(TYPES={"paid": "charge.succeeded"})
    for event_type in ("charge.succeeded", "paid"):
        webhook = compose(provider, make_values(provider, event_type))
        assert json.loads(webhook.body.decode())["type"] == "paid"


def test_a_document_to_start_from_is_changed_where_a_value_is_and_not_itself():
    second = {"event": {"type": "second", "event_id": "evt_2"}}
    document = {"items": [{"event": {"type": "old", "more": 1}}, second]}
    values = {"provider_event_id": "evt_1", "type": "new"}
    body = compose(make(EVENTS_PATH="items.*.event"), values, document).body
    assert json.loads(body.decode()) == {
        "items": [
            {"event": {"type": "new", "more": 1, "event_id": "evt_1"}},
            second,
        ]
    }
    assert document["items"][0]["event"] == {"type": "old", "more": 1}


def test_fields_that_come_in_headers_are_sent_in_headers():
    provider = make(FIELDS={"provider_event_id": "header:X-Id", "type": "header:X-Type"})
    webhook = compose(provider, {"provider_event_id": 17, "type": "charge.succeeded"})
    assert webhook.headers == {"X-Id": "17", "X-Type": "charge.succeeded"}
    assert webhook.meta == {"HTTP_X_ID": "17", "HTTP_X_TYPE": "charge.succeeded"}
    assert webhook.body == b"{}"


def test_what_a_faulty_class_can_not_read_is_not_sent(monkeypatch):
    monkeypatch.setattr(Provider, "read_columns", lambda *_: 1 / 0)
    with pytest.raises(ValueError, match="can't read what was composed: .* ZeroDivisionError: "):
        compose(make(), make_values(make(), "charge.succeeded"))


class Odd(Provider):
    """Reads the order's id in a way that no option can say."""

    def read_field(self, name, meta, payload):
        value = super().read_field(name, meta, payload)
        return value[::-1] if name == "order_id" else value


def test_a_provider_that_reads_something_else_is_an_error():
    provider = Odd("odd")
    with pytest.raises(ValueError) as raised:
        compose(provider, make_values(provider, "charge.succeeded", order_id="A12"))
    assert "The provider odd reads '21A' where the order_id should be 'A12'" in str(raised.value)


# ---- a path in a document


@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("a", {"a": 1}),
        ("a.b", {"a": {"b": 1}}),
        ("a.0", {"a": [1]}),
        ("a.2.b", {"a": [None, None, {"b": 1}]}),
        ("a.0.1.c", {"a": [[None, {"c": 1}]]}),
    ],
)
def test_what_is_missing_on_the_way_to_a_value_is_made(path, made):
    document = {}
    place(document, path, 1)
    assert document == made


def test_what_is_there_stays():
    document = {"a": {"b": [1, 2]}, "c": 3}
    place(document, "a.b.1", "x")
    place(document, "c.d", "y")
    assert document == {"a": {"b": [1, "x"]}, "c": {"d": "y"}}


@pytest.mark.parametrize("step", ["b", "-1", "50001", "9" * 30, "\u0662x"])
def test_a_list_has_only_indexes_and_not_too_many(step):
    with pytest.raises(ValueError, match="can't be set: there is a list, which has no"):
        place({"a": []}, "a." + step, 1)


# ---- the provider and its keys


def test_another_key_can_sign():
    other = b"the other key of this provider"
    provider = make(SECRETS=[SECRET, other.decode()])
    webhook = Webhook(b"{}", {"X-More": "yes"})
    assert sign_webhook(provider, webhook).headers["X-Signature"] == sign(b"{}")
    signed = sign_webhook(provider, webhook, key=other)
    assert signed.headers == {"X-More": "yes", "X-Signature": sign(b"{}", other.decode())}


def test_without_a_usable_secret_nothing_is_signed():
    with pytest.raises(ValueError, match="made has no usable secret: SECRETS must have one of 16"):
        sign_webhook(make(SECRETS=["short"]), Webhook(b"{}", {}))


class Own(Provider):
    """Verifies in a way of its own, and does not say how it signs."""

    verifies_by_options = False

    def verify(self, meta, body):
        raise WebhookRefused(401, "mismatch", "The signature does not match.")


@pytest.mark.parametrize(
    ("provider", "advice"),
    [
        (
            make(SIGNATURE_TEMPLATE="v1={signature}", SIGNATURE_PATTERN="(x)"),
            "Set SIGNATURE_TEMPLATE to what its patterns",
        ),
        (Own("own", SECRETS=[SECRET]), "Its class verifies in a way of its own: let it override"),
    ],
)
def test_a_provider_that_refuses_its_own_signature_gets_advice(provider, advice):
    with pytest.raises(ValueError, match="refuses what it signed itself") as raised:
        sign_webhook(provider, Webhook(b"{}", {}))
    assert advice in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(("proxies", "came_by"), [(1, []), (3, ["127.0.0.1", "127.0.0.1"])])
def test_a_provider_whose_addresses_are_checked_is_played_behind_the_proxies(proxies, came_by):
    provider = make(ADDRESSES=["192.0.2.0/28"], TRUSTED_PROXIES=proxies)
    signed = sign_webhook(provider, Webhook(b"{}", {}))
    assert signed.headers["X-Forwarded-For"] == ", ".join(["192.0.2.0", *came_by])
    assert provider.verify({"REMOTE_ADDR": "127.0.0.1", **signed.meta}, signed.body)


@pytest.mark.parametrize("options", [{}, {"TRUSTED_PROXIES": 0}])
def test_without_proxies_an_address_is_not_made_up(options):
    provider = make(ADDRESSES=["192.0.2.0/28"], **options)
    signed = sign_webhook(provider, Webhook(b"{}", {}))
    assert "X-Forwarded-For" not in signed.headers


def test_the_time_of_signing_is_the_present():
    provider = get_provider("timed")
    before = int(time.time())
    header = sign_webhook(provider, Webhook(b"{}", {})).headers["X-Signature"]
    assert before <= int(header.partition(",")[0][len("t=") :]) <= time.time()


def test_a_provider_is_found_by_its_name():
    assert find_provider("timed").name == "timed"
    with pytest.raises(ValueError) as raised:
        find_provider("nobody")
    text = "There is no provider 'nobody' in PAYMENT_WEBHOOKS_PROVIDERS. There are: default, timed."
    assert str(raised.value) == text


def test_a_type_and_an_id_can_be_composed_of_the_same_parts():
    provider = Provider(
        "composed",
        FIELDS={"type": "{object}.{event}", "provider_event_id": "{object}:{id}:{event}"},
        TYPES={"payment_order.completed": "charge.succeeded"},
    )
    webhook = compose(provider, make_values(provider, "charge.succeeded", order_id="A1"))
    (event,) = provider.parse(webhook.meta, webhook.body)
    assert (event.type, event.order_id) == ("charge.succeeded", "A1")


def test_a_field_in_the_query_is_sent_in_the_query(transactional_db, settings):
    options = {"SECRETS": [SECRET], "FIELDS": {"type": "query:kind"}, "TYPES": {"pay": "paid"}}
    settings.PAYMENT_WEBHOOKS_PROVIDERS = {"default": options}
    with testing.without_broker():
        assert testing.post_event("paid", order_id="A1").status_code == 200
    event = Event.objects.get()
    assert (event.type, event.order_id) == ("paid", "A1")
    assert event.payload["query:kind"] == "pay"


def test_amounts_and_times_are_written_as_the_provider_writes_them():
    provider = make(AMOUNT_UNIT="minor", TIME_FORMAT="ms")
    values = make_values(provider, "charge.succeeded", amount="25.50", currency="EUR")
    document = json.loads(compose(provider, values).body.decode())
    assert document["data"]["amount"] == 2550
    assert len(str(document["created_at"])) == 13
    values = make_values(provider, "charge.succeeded", amount="25", currency="JPY")
    assert json.loads(compose(provider, values).body.decode())["data"]["amount"] == 25


# ---- fields that are more than a path


def test_a_value_is_written_to_the_first_alternative_that_can_have_it():
    fields = {"type": ("order.{order.status}", "refund.{refund.status}", "kind")}
    provider = make(FIELDS=fields, TYPES={"refund.DONE": "refund.created", "x": "dispute.opened"})
    assert json.loads(
        compose(provider, {"type": "refund.created", "provider_event_id": "1"}).body
    ) == {
        "event_id": "1",
        "refund": {"status": "DONE"},
    }
    webhook = compose(provider, {"type": "dispute.opened", "provider_event_id": "1"})
    assert json.loads(webhook.body) == {"event_id": "1", "kind": "x"}


def test_where_facts_are_one_field_the_last_that_is_given_is_read():
    number = {"provider_event_id": "n", "order_id": "n", "payment_id": "n"}
    provider = make(FIELDS=number, TYPES={"paid": "charge.succeeded"})
    webhook = compose(provider, make_values(provider, "charge.succeeded", order_id="A1"))
    (event,) = provider.parse(webhook.meta, webhook.body)
    assert (event.provider_event_id, event.order_id, event.payment_id) == ("A1", "A1", "A1")


def test_an_order_is_not_expected_of_events_that_name_none():
    provider = make(FIELDS={"order_id": {"charge.*": "data.order_id"}})
    webhook = compose(provider, make_values(provider, "refund.created", order_id="A1"))
    (event,) = provider.parse(webhook.meta, webhook.body)
    assert (event.type, event.order_id) == ("refund.created", "")


def test_the_last_item_of_a_made_list_is_its_only_one():
    provider = make(FIELDS={"refund_id": "refunds.-1.id"})
    webhook = compose(provider, make_values(provider, "refund.created", refund_id="r1"))
    assert json.loads(webhook.body)["refunds"] == [{"id": "r1"}]


@pytest.mark.parametrize("content", ["{header:merchant}{body}", "{X-Shop-Id}{body}"])
def test_a_signed_header_is_made_whatever_it_is_called(content):
    provider = make(CONTENT=content)
    webhook = compose(provider, make_values(provider, "charge.succeeded"))
    signed = sign_webhook(provider, webhook)
    assert len(signed.headers) == 2
    assert provider.verify(signed.meta, signed.body)
