"""Stripe's SDK signs, and verifies."""

from .judge import Judge, load_sdk, read

stripe = load_sdk("stripe")


class TestStripe(Judge):
    secret, other_secret = "whsec_of_stripe_of_the_made_shop", "whsec_of_stripe_of_another_shop"
    several = (
        "t={timestamp},v1={bad},v1={good}",
        "t={timestamp},v1={good},v1={bad}",
        "t={timestamp},v0={bad},v1={good}",
        "v1={good},t={timestamp}",
    )
    we_refuse = {
        "by a clock that is too fast": "the SDK compares with the past alone, so that a webhook"
        " that was signed for a later day could be kept until then",
    }
    we_accept = {
        "a signature in upper case": "hex says the same in each case",
        "a space after the comma": "a proxy that writes lists anew puts it there",
    }

    def verify(self, webhook, secret):
        header = read(webhook, "Stripe-Signature")
        return stripe.WebhookSignature.verify_header(webhook.body, header, secret, tolerance=300)

    def sign(self, body, secret, seconds):
        sign = stripe.WebhookSignature.generate_signature_header
        return {"Stripe-Signature": sign(body.decode(), secret, seconds)}

    def list_more(self, genuine):
        header = genuine.headers["Stripe-Signature"]
        spaced = {"Stripe-Signature": header.replace(",", ", ")}
        yield "a space after the comma", None, genuine.add_headers(spaced)
        other_version = {"Stripe-Signature": header.replace("v1=", "v0=")}
        yield "another version alone", False, genuine.add_headers(other_version)
