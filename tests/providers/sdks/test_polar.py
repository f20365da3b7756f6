"""Polar's SDK verifies, by either of the keys that a secret can be."""

from .judge import Judge, load_sdk
from .test_standard_webhooks import StandardJudge

polar = load_sdk("polar.webhooks")


class PolarJudge(StandardJudge):
    we_refuse = {
        "a time with a fraction": StandardJudge.we_refuse["a time with a fraction"],
    }
    we_accept = {}

    def verify(self, webhook, secret):
        try:
            polar.validate_event(webhook.body, webhook.headers, secret, frozenset(), dict)
        except polar.PolarWebhookUnknownTypeError:
            # It is verified, and of no type that this test knows.
            return True


class TestPolar(PolarJudge):
    """A secret that was made since 8 September 2026: the library signs."""


class TestPolarBefore(PolarJudge):
    """An older secret: we sign, by the secret as it is shown."""

    secret, other_secret = "polar_whs_of_the_made_shop", "polar_whs_of_another_shop"

    def sign(self, body, secret, seconds):
        return Judge.sign(self, body, secret, seconds)
