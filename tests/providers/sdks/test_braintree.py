"""Braintree's SDK signs, verifies, and answers the challenge."""

import base64
from urllib.parse import parse_qsl, urlencode
from xml.sax.saxutils import escape

import pytest

from django_payment_webhooks.providers.sending import Webhook

from .judge import BODIES, Judge, change_last, load_sdk

braintree = load_sdk(
    "braintree", ignored="Use (ProtectionLevel enum|protection_level parameter) instead"
)
XML = "<notification><kind>check</kind><subject><check>{}</check></subject></notification>"
KINDS = ["Check", "DisputeOpened", "TransactionSettled", "SubscriptionChargedSuccessfully"]


def make_gateway(secret):
    """Return the SDK's gateway for a pair of keys."""
    public, private = secret.split("|")
    return braintree.BraintreeGateway(
        braintree.Configuration(braintree.Environment.Sandbox, "shop", public, private)
    )


def write(payload, signature):
    """Return the form that Braintree sends."""
    form = urlencode({"bt_signature": signature, "bt_payload": payload})
    return Webhook(form.encode(), {"Content-Type": "application/x-www-form-urlencoded"})


class TestBraintree(Judge):
    secret, other_secret = "public_of_shop|private_of_the_shop", "public_of_shop|private_of_others"

    we_accept = {
        "a signature in upper case": "hex says the same in each case",
        "two of our own, the first of nobody": "the SDK reads the first one of a public key alone",
    }

    def send(self, body=BODIES["compact"], secret=None, age=0):
        """Return a notification with a text in its XML, signed by what the SDK signs its own by."""
        payload = base64.encodebytes(XML.format(escape(body.decode())).encode())
        return write(payload, self.sign_payload(payload, secret or self.secret))

    def sign_payload(self, payload, secret):
        public, private = secret.split("|")
        mac = braintree.util.crypto.Crypto.sha1_hmac_hash(private, payload)
        return f"{public}|{mac}"

    def verify(self, webhook, secret):
        form = dict(parse_qsl(webhook.body.decode()))
        gateway = make_gateway(secret)
        try:
            gateway.webhook_notification.parse(form.get("bt_signature"), form.get("bt_payload"))
        except braintree.exceptions.invalid_signature_error.InvalidSignatureError:
            return False
        except Exception:
            # It is verified. Not every text can be in XML, and not every document is an event.
            return True

    def list_bodies(self, genuine):
        form = dict(parse_qsl(genuine.body.decode()))
        payload, signature = form["bt_payload"], form["bt_signature"]
        mac = signature.partition("|")[2]
        other = base64.encodebytes(XML.format("another").encode()).decode()
        yield "another payload", False, write(other, signature)
        yield "a payload with a sign more", False, write("A" + payload, signature)
        yield "a payload without its last line's end", True, write(payload.rstrip(), signature)
        yield "a changed signature", False, write(payload, change_last(signature))
        yield "another public key", False, write(payload, f"other|{mac}")
        yield "no public key", False, write(payload, mac)
        yield "no signature", False, write(payload, "")
        yield "no payload", False, write("", signature)
        yield "another merchant's signature first", True, write(payload, f"a|{mac}&{signature}")
        yield "another merchant's signature last", True, write(payload, f"{signature}&a|{mac}")
        yield (
            "two of our own, the first of nobody",
            None,
            write(payload, f"{change_last(signature)}&{signature}"),
        )
        yield "a signature in upper case", None, write(payload, signature.replace(mac, mac.upper()))

    def list_headers(self, genuine):
        return ()

    # The SDK's samples have the time of utcnow(), which Python 3.12 calls deprecated.
    @pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
    @pytest.mark.parametrize("kind", KINDS)
    def test_the_samples_of_the_sdk_are_accepted_and_read(self, kind):
        kind = getattr(braintree.WebhookNotification.Kind, kind)
        sample = make_gateway(self.secret).webhook_testing.sample_notification(kind, "id_1")
        webhook = write(sample["bt_payload"], sample["bt_signature"])
        assert self.is_accepted(webhook)
        (event,) = self.make().parse(webhook.meta, webhook.body)
        notification = make_gateway(self.secret).webhook_notification.parse(*sample.values())
        assert self.make().payload(event.body)["notification"]["kind"] == notification.kind

    def test_the_challenge_is_answered_as_the_sdk_answers_it(self):
        challenge = "20f9f8ed05f77439fe955c977e4c8a53"
        answer = make_gateway(self.secret).webhook_notification.verify(challenge)
        assert self.make().answer_challenge(challenge) == answer
