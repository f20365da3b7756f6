"""The official SDKs of the providers, as senders and as judges of what a preset does.

None of them is a requirement of the package, or of the other tests: where an SDK is not installed,
its tests are left out. With ``REQUIRE_SDKS=1``, as the line ``sdks`` of tox sets it, they fail.
"""

import importlib
import json
import os
import time
import warnings
from contextlib import ExitStack, contextmanager
from datetime import datetime
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_payment_webhooks.exceptions import WebhookRefused
from django_payment_webhooks.providers import find_preset
from django_payment_webhooks.providers.headers import find_meta_name
from django_payment_webhooks.providers.sending import (
    Webhook,
    compose,
    forge_webhook,
    make_values,
    sign_webhook,
)

from ..presets.contract import find_now, load_vectors, write_meta

ARE_REQUIRED = os.environ.get("REQUIRE_SDKS", "") not in ("", "0")
DOCUMENT = {"id": "evt_1", "type": "charge.succeeded", "data": {"amount": 1000}}
BODIES = {
    "compact": json.dumps(DOCUMENT, separators=(",", ":")).encode(),
    "pretty": json.dumps(DOCUMENT, indent=2).encode(),
    "with a line's end after it": json.dumps(DOCUMENT).encode() + b"\r\n",
    "an empty object": b"{}",
    "unicode": '{"name": "Zoë 支付 \N{RECEIPT}\u2028"}'.encode(),
    "escaped": rb'{"name": "\ud83e\uddfe \u0000 \/"}',
    "with what a template has": b'{"name": "{body} {timestamp} %s %(t)s [x] \\\\1"}',
    "large": json.dumps({"lines": ["one of many"] * 20000}).encode(),
}
DOCUMENTS = st.dictionaries(
    st.text(max_size=8),
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    max_size=5,
)


def load_sdk(name, ignored=None):
    """Return a module of an SDK. Without it the tests of the calling module are left out, or fail.

    ``ignored`` is the text of the only deprecation that may be reported while it is imported.
    """
    if not ARE_REQUIRED:
        return pytest.importorskip(name)
    with warnings.catch_warnings():
        if ignored:
            warnings.filterwarnings("ignore", ignored, DeprecationWarning)
        return importlib.import_module(name)


def make_clock(moment):
    """Return a class like ``datetime`` whose now is a moment in Unix seconds."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(moment, tz)

    return Clock


def change_last(text):
    """Return a text whose last sign but one is another. The last ones of base64 may say nothing."""
    return text[:-3] + ("b" if text[-3] == "a" else "a") + text[-2:]


class Judge:
    """Derive a class from this for each SDK, in a module that is named after the preset.

    The SDK and the preset must agree on every webhook. Where they do not, the class names the
    attempt, and says why.
    """

    #: A usable secret, another one, and what the preset needs beside SECRETS.
    secret, other_secret = "5e" * 32, "0b" * 32
    options = {}
    #: The query of the address, if a part of it is signed.
    query = ""
    #: A header with several signatures, of which ``{bad}`` is nobody's, in each order.
    several = ()
    #: What we refuse although the SDK accepts it, and what we accept although it does not, by the
    #: names of attempts, each with the reason; and vectors of which the SDK says something else.
    we_refuse = {}
    we_accept = {}
    other_vectors = {}
    #: Where the SDK has its own name for ``time`` or ``datetime``: by module, the name there.
    clocks = {}

    @property
    def preset(self):
        """The preset: that of the module's name."""
        return find_preset(type(self).__module__.rpartition(".test_")[2])

    def make(self, *secrets, **options):
        """Return a provider of the preset."""
        given = {"SECRETS": list(secrets or [self.secret]), **self.options, **options}
        return self.preset("judged", **given)

    # ---- what an SDK does

    def verify(self, webhook, secret):
        """Let the SDK verify: it returns False, or raises, if it refuses."""
        raise NotImplementedError

    def sign(self, body, secret, seconds):
        """Return the headers by which the SDK signs; by which we do if it has no such function."""
        webhook = Webhook(body, {"Content-Type": "application/json"}, self.query)
        age = time.time() - seconds if self.make().has_timestamp() else 0
        return sign_webhook(self.make(secret), webhook, age).headers

    # ---- verdicts

    def is_accepted_by_sdk(self, webhook, secret=None):
        """Return the verdict of the SDK. Whatever it raises, such as a TypeError, is a refusal."""
        try:
            return self.verify(webhook, secret or self.secret) is not False
        except Exception:
            return False

    def is_accepted(self, webhook):
        """Return our verdict."""
        try:
            return bool(self.make().verify(webhook.meta, webhook.body))
        except WebhookRefused as refused:
            status = refused.status
        assert status == self.preset.refusal_status
        return False

    def send(self, body=BODIES["compact"], secret=None, age=0):
        """Return a webhook that was signed some seconds ago."""
        headers = self.sign(body, secret or self.secret, int(time.time()) - age)
        return Webhook(body, headers, self.query)

    @contextmanager
    def at(self, moment):
        """Let it be a moment, for the SDK and for us."""
        with ExitStack() as stack:
            stack.enter_context(mock.patch("time.time", return_value=moment))
            for module, name in self.clocks.items():
                clock = make_clock(moment) if name == "datetime" else lambda: moment
                module = importlib.import_module(module)
                stack.enter_context(mock.patch.object(module, name, clock))
            yield

    # ---- attempts

    def list_attempts(self):
        """Yield the name of each attempt, whether it is genuine, and the webhook.

        Of some it is a matter of taste, so that only the verdicts must be the same: None.
        """
        genuine = self.send()
        yield "genuine", True, genuine
        yield "by another secret", False, self.send(secret=self.other_secret)
        yield from self.list_bodies(genuine)
        for name, is_genuine, value in self.list_headers(genuine):
            yield name, is_genuine, genuine.add_headers({self.preset.signature_header: value})
        if self.make().has_timestamp():
            yield from self.list_times(genuine)
        yield from self.list_more(genuine)

    def list_bodies(self, genuine):
        """Yield other bodies with a genuine signature."""
        for name, body in [
            ("a body with a space more", genuine.body + b" "),
            ("a body with another amount", genuine.body.replace(b"1000", b"9000")),
            ("no body", b""),
        ]:
            yield name, False, genuine._replace(body=body)

    def list_headers(self, genuine):
        """Yield other headers for a genuine signature."""
        header = genuine.headers[self.preset.signature_header]
        yield "an empty header", False, ""
        yield "a header that is not ASCII", False, "é" + header
        yield "a changed signature", False, change_last(header)
        yield "a shortened signature", False, header[:-3]
        yield "a signature with a sign more", False, header + "0"
        yield "a signature in upper case", None, self.raise_case(genuine, header)
        for template in self.several:
            signature = self.find_signature(genuine)
            values = {"good": signature, "bad": change_last(signature)}
            timestamp = self.make().read_timestamp(genuine.meta)
            yield template, True, template.format(timestamp=timestamp, **values)
        if self.several:
            values = dict.fromkeys(("good", "bad"), change_last(signature))
            header = template.format(timestamp=timestamp, **values)
            yield "several signatures, all of nobody", False, header

    def find_signature(self, webhook):
        """Return the signature in a header, without what is around it."""
        return self.make().find_signatures(webhook.meta, webhook.body)[0].decode()

    def raise_case(self, webhook, header):
        """Return a header whose signature is in upper case."""
        signature = self.find_signature(webhook)
        return header.replace(signature, signature.upper())

    def list_times(self, genuine):
        """Yield webhooks that were signed at other times."""
        tolerance = self.make().tolerance
        if tolerance is not None:
            yield "signed just in time", True, self.send(age=tolerance)
            yield "signed too long ago", False, self.send(age=tolerance + 1)
            yield "by a clock that is a little fast", True, self.send(age=-tolerance)
            yield "by a clock that is too fast", False, self.send(age=-tolerance - 1)
        timestamp = self.make().read_timestamp(genuine.meta)
        other = self.make().read_timestamp(self.send(age=1).meta)
        for name, written in [("another time", other), ("no time", ""), ("a word for a time", "x")]:
            headers = {
                key: value.replace(timestamp, written) for key, value in genuine.headers.items()
            }
            yield f"{name} than the one signed", False, genuine._replace(headers=headers)

    def list_more(self, genuine):
        """Give attempts that only this provider's scheme has."""
        return ()

    # ---- tests

    @pytest.mark.parametrize("name", BODIES)
    def test_what_is_signed_both_accept(self, name):
        webhook = self.send(BODIES[name])
        assert self.is_accepted(webhook)
        assert self.is_accepted_by_sdk(webhook)

    def test_what_is_signed_both_accept_whatever_it_says(self):
        # Inside, as Hypothesis wants each test to be of one class.
        @given(document=DOCUMENTS, is_ascii=st.booleans())
        def check(document, is_ascii):
            webhook = self.send(json.dumps(document, ensure_ascii=is_ascii).encode())
            assert self.is_accepted(webhook)
            assert self.is_accepted_by_sdk(webhook)

        check()

    def test_what_is_played_the_sdk_accepts_and_a_forgery_it_refuses(self):
        provider = self.make()
        webhook = compose(provider, make_values(provider, "charge.succeeded", order_id="A1"))
        assert self.is_accepted_by_sdk(sign_webhook(provider, webhook))
        assert not self.is_accepted_by_sdk(forge_webhook(provider, webhook))

    def test_both_say_the_same_of_each_attempt_but_for_what_is_named(self):
        refused, accepted = set(), set()
        # Time stands still: a slow machine must not carry an attempt over the limit.
        with self.at(int(time.time())):
            for name, is_genuine, webhook in self.list_attempts():
                ours, theirs = self.is_accepted(webhook), self.is_accepted_by_sdk(webhook)
                assert is_genuine in (None, ours), name
                if theirs and not ours:
                    refused.add(name)
                if ours and not theirs:
                    accepted.add(name)
        assert sorted(refused) == sorted(self.we_refuse)
        assert sorted(accepted) == sorted(self.we_accept)

    def test_the_sdk_says_of_each_vector_what_the_vector_says(self):
        others = set()
        for vector in load_vectors(self.preset.__module__.rpartition(".")[2]):
            secrets = vector["secret"] if isinstance(vector["secret"], list) else [vector["secret"]]
            query = write_meta(vector)["QUERY_STRING"]
            webhook = Webhook(vector["body"].encode(), vector["headers"], query)
            self.options = {**self.options, **vector.get("options", {})}
            with self.at(find_now(vector)):
                is_valid = any(self.is_accepted_by_sdk(webhook, secret) for secret in secrets)
            if is_valid != vector["expect_valid"]:
                others.add(vector["name"])
        assert sorted(others) == sorted(self.other_vectors)


def read(webhook, name):
    """Return a header, None if it is missing, by whatever case its name has."""
    return webhook.meta.get(find_meta_name(name))
