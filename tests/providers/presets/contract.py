"""What every preset must do, whatever its provider."""

import importlib
import json
import os
from unittest import mock
from urllib.parse import urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from django_payment_webhooks import testing
from django_payment_webhooks.checks import check_providers
from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.models import Event
from django_payment_webhooks.providers import find_preset
from django_payment_webhooks.providers.declarative import UNPROVED
from django_payment_webhooks.providers.fields import compile_field
from django_payment_webhooks.providers.headers import find_meta_name
from django_payment_webhooks.providers.sending import compose, forge_webhook, make_values
from django_payment_webhooks.providers.sending import sign_webhook as sign
from django_payment_webhooks.providers.times import read_moment, read_zone
from django_payment_webhooks.providers.types import find_rule

VECTORS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "vectors")
CANONICAL = {"charge.succeeded", "charge.failed", "refund.created", "refund.pending"}
CANONICAL |= {"refund.failed", "dispute.opened", "dispute.won", "dispute.lost"}
SECRET = "5e" * 32


def load_vectors(preset):
    """Return a preset's vectors, none if it has no file."""
    path = os.path.join(VECTORS, preset + ".json")
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def write_meta(vector):
    """Return the headers and the query of a vector as ``request.META`` has them."""
    meta = {find_meta_name(name): value for name, value in vector["headers"].items()}
    return {**meta, "QUERY_STRING": urlsplit(vector.get("url") or "").query}


def find_now(vector):
    """Return the moment of a vector in Unix seconds; that of its signature if it says none."""
    written = str(vector.get("now") or vector.get("timestamp") or 1700000000)
    if "T" in written:
        return read_moment(written, "iso", read_zone("UTC")).timestamp()
    return int(written) / (1000 if len(written) > 11 else 1)


class Contract:
    """Derive a class from this, in a module that is named after the preset."""

    #: What the settings need beside PRESET and SECRETS.
    options = {}
    #: A usable secret, and what the vectors need beside their own secret.
    secret = SECRET
    vector_options = {}
    #: Small events with the provider's fields, and what must be read of each: ``type``,
    #: ``provider_event_id``, ``occurred_at``, ``order_id``, ``payment_id``, ``money`` and whatever
    #: is in ``data``.
    events = []
    #: Changes of the first event's body that are no change of what it says.
    ignored = {}

    @pytest.fixture
    def preset(self):
        """The name of the preset: that of the module."""
        return type(self).__module__.rpartition(".test_")[2]

    @pytest.fixture
    def make(self, preset):
        """Make a provider of the preset."""

        def make(**options):
            given = {"SECRETS": [self.secret], **self.options, **options}
            if not find_preset(preset).has_secrets:
                given.pop("SECRETS")
            return find_preset(preset)("made", **given)

        return make

    @pytest.fixture
    def installed(self, preset, settings):
        """The options of the settings."""
        options = {"PRESET": preset, "SECRETS": [self.secret], **self.options}
        settings.PAYMENT_WEBHOOKS_PROVIDERS = {"made": options}
        return options

    # ---- proof

    def test_each_vector_comes_out_right(self, preset, make):
        for vector in load_vectors(preset):
            secrets = vector["secret"]
            secrets = secrets if isinstance(secrets, list) else [secrets]
            options = {**self.vector_options, **vector.get("options", {})}
            provider = make(SECRETS=secrets, **options)
            meta = write_meta(vector)
            # Of a GET the query is the body.
            body = (vector["body"] or meta["QUERY_STRING"]).encode()
            with mock.patch("time.time", return_value=find_now(vector)):
                try:
                    is_valid = bool(provider.verify(meta, body))
                except WebhookRefused:
                    is_valid = False
            assert is_valid == vector["expect_valid"], vector["name"]

    def test_what_is_signed_is_accepted_and_nothing_else(self, make):
        provider = make()
        if provider.proof == UNPROVED:
            assert provider.needs_confirmation
            return
        webhook = compose(provider, make_values(provider, "charge.succeeded", order_id="A1"))
        signed = sign(provider, webhook)
        assert provider.verify(signed.meta, signed.body)
        forged = forge_webhook(provider, webhook)
        for meta, body in [
            ({}, webhook.body),
            (webhook.meta, webhook.body),
            (forged.meta, forged.body),
            (signed.meta, self.tamper(signed.body)),
        ]:
            with pytest.raises(WebhookRefused) as raised:
                provider.verify(meta, body)
            assert raised.value.status == provider.refusal_status

    def tamper(self, body):
        """Return a body that says something else, with the signature of the first."""
        return body.replace(b"A1", b"B1")

    @pytest.mark.parametrize("secret", ["", " ", "x", None])
    def test_without_a_usable_secret_nothing_is_accepted(self, make, secret):
        provider = make()
        if not provider.has_secrets:
            return
        webhook = compose(provider, make_values(provider, "charge.succeeded", order_id="A1"))
        signed = sign(provider, webhook)
        with pytest.raises(WebhookRefused) as raised:
            make(SECRETS=[secret]).verify(signed.meta, signed.body)
        assert (raised.value.status, raised.value.reason) == (503, "no_secret")

    # ---- events

    def test_the_facts_of_each_event_are_read(self, make):
        provider = make()
        for body, expected in self.events:
            (event,) = self.parse(provider, body)
            payload = provider.payload(event.body)
            read = {**provider.read(payload), **vars(event)}
            read["occurred_at"] = event.occurred_at.isoformat()
            read["money"] = str(provider.read_money(payload) or "")
            assert {name: read.get(name) for name in expected} == expected
            assert event.error == ""

    def parse(self, provider, body):
        """Return the events of a body, as they are when they came with their headers."""
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        return provider.parse({"REQUEST_METHOD": "POST"}, raw)

    def test_events_that_say_something_else_are_others(self, make):
        provider = make()
        keys = [self.parse(provider, body)[0].dedup_key for body, _ in self.events]
        assert len(set(keys)) == len(keys) >= 3

    def test_a_repetition_that_counts_its_attempts_is_the_same(self, make):
        provider = make()
        body = self.events[0][0]
        if self.ignored:
            (first,) = self.parse(provider, body)
            (again,) = self.parse(provider, {**body, **self.ignored})
            assert (first.dedup_key, first.fingerprint) == (again.dedup_key, again.fingerprint)
            assert first.body != again.body

    def test_the_three_canonical_events_have_names(self, make):
        types = set(make().types.values())
        assert types <= CANONICAL, types - CANONICAL

    # ---- the round trip

    def test_each_type_can_be_played(self, make):
        provider = make()
        for event_type in sorted(set(provider.types.values())):
            values = make_values(provider, event_type, order_id="A1")
            signed = sign(provider, compose(provider, values))
            (event,) = provider.parse(signed.meta, signed.body)
            assert (event.type, event.error) == (event_type, "")
            # Of some types no event names an order: it is found by the payment.
            types = (event_type, find_rule(provider.rules, event_type).names[0])
            if list(compile_field(provider.fields.get("order_id", "=")).paths(types)):
                assert event.order_id == "A1"
            money = provider.read_money(provider.payload(event.body))
            if money is not None:
                assert str(money).startswith("10.00 ")

    def test_a_webhook_is_stored_once_and_answered_as_the_provider_wants(
        self, transactional_db, installed, make
    ):
        provider = make()
        with testing.without_broker():
            answer = testing.post_event("charge.succeeded", "made", order_id="A1", client=Client())
            assert answer.status_code == 200, answer.content
        event = Event.objects.get()
        assert (event.provider, event.order_id, event.type) == ("made", "A1", "charge.succeeded")
        if provider.answer_body is not None:
            assert answer["Content-Type"].startswith(provider.answer_type)

    # ---- what is said about it

    def test_check_finds_nothing_to_say_about_it(self, installed, preset):
        found = check_providers(None)
        assert [message for message in found if message.level >= 40] == []

    def test_an_unknown_option_is_an_error(self, make):
        with pytest.raises(ImproperlyConfigured, match="NO_SUCH is not an option"):
            make(NO_SUCH=1)

    def test_it_says_where_its_facts_are_from_and_what_to_do(self, preset):
        module = importlib.import_module(f"django_payment_webhooks.providers.presets.{preset}")
        assert "https://" in module.__doc__
        assert module.Preset.__doc__
        assert module.Preset.docs.startswith("https://")
        assert module.Preset.resends_for > 0
        assert module.Preset.dashboard == "" or "{payment_id}" in module.Preset.dashboard
