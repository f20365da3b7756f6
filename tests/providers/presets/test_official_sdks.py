"""The providers' own SDKs judge what the presets sign.

They need packages that nothing else does, so that each is left out where its package is missing:
``tox -e sdks`` installs them.
"""

import base64
from urllib.parse import parse_qs

import pytest

from django_payment_webhooks.providers import find_preset
from django_payment_webhooks.providers.sending import compose, forge_webhook, make_values
from django_payment_webhooks.providers.sending import sign_webhook as sign

WHSEC = "whsec_" + base64.b64encode(bytes(range(24))).decode()
SECRET = "5e" * 32
URL = "https://shop.example/webhooks/payment/made"


def judge_svix(secret, webhook):
    svix = pytest.importorskip("svix.webhooks")
    svix.Webhook(secret).verify(webhook.body, webhook.headers)


def judge_standard_webhooks(secret, webhook):
    standardwebhooks = pytest.importorskip("standardwebhooks.webhooks")
    standardwebhooks.Webhook(secret).verify(webhook.body, webhook.headers)


def judge_polar(secret, webhook):
    encoded = base64.b64encode(secret.encode()).decode()
    judge_standard_webhooks(encoded, webhook)


def judge_square(secret, webhook):
    square = pytest.importorskip("square.utils.webhooks_helper")
    signature = webhook.headers["x-square-hmacsha256-signature"]
    assert square.verify_signature(
        request_body=webhook.body.decode(),
        signature_header=signature,
        signature_key=secret,
        notification_url=URL,
    )


def judge_paddle(secret, webhook):
    paddle = pytest.importorskip("paddle_billing.Notifications")

    class Request:
        body = content = data = webhook.body
        headers = webhook.headers

    assert paddle.Verifier().verify(Request, [paddle.Secret(secret)])


def judge_gocardless(secret, webhook):
    gocardless = pytest.importorskip("gocardless_pro.webhooks")
    signature = webhook.headers["Webhook-Signature"]
    assert len(gocardless.parse(webhook.body.decode(), secret, signature)) == 1


def judge_coinbase_commerce(secret, webhook):
    coinbase = pytest.importorskip("coinbase_commerce.webhook")
    signature = webhook.headers["X-CC-Webhook-Signature"]
    coinbase.Webhook.construct_event(webhook.body.decode(), signature, secret)


def judge_modern_treasury(secret, webhook):
    modern_treasury = pytest.importorskip("modern_treasury")
    webhooks = modern_treasury.ModernTreasury(organization_id="1", api_key="1").webhooks
    assert webhooks.validate_signature(webhook.body.decode(), headers=webhook.headers, key=secret)


def judge_orb(secret, webhook):
    orb = pytest.importorskip("orb")
    webhooks = orb.Orb(api_key="1").webhooks
    webhooks.verify_signature(payload=webhook.body.decode(), headers=webhook.headers, secret=secret)


def judge_braintree(secret, webhook):
    braintree = pytest.importorskip("braintree")
    public, _, private = secret.partition("|")
    configuration = braintree.Configuration(
        braintree.Environment.Sandbox, merchant_id="1", public_key=public, private_key=private
    )
    form = {name: values[0] for name, values in parse_qs(webhook.body.decode()).items()}
    notifications = braintree.BraintreeGateway(configuration).webhook_notification
    assert notifications.parse(form["bt_signature"], form["bt_payload"]).kind


def refuses(judge, secret, webhook):
    """Return whether an SDK refuses a webhook. Each has errors of its own."""
    try:
        judge(secret, webhook)
    except Exception:
        return True
    return False


JUDGES = [
    ("svix", WHSEC, judge_svix),
    ("standard_webhooks", WHSEC, judge_standard_webhooks),
    ("increase", WHSEC, judge_standard_webhooks),
    ("lithic", WHSEC, judge_standard_webhooks),
    ("dodo", WHSEC, judge_standard_webhooks),
    ("polar", SECRET, judge_polar),
    ("square", SECRET, judge_square),
    ("paddle", SECRET, judge_paddle),
    ("gocardless", SECRET, judge_gocardless),
    ("coinbase_commerce", SECRET, judge_coinbase_commerce),
    ("modern_treasury", SECRET, judge_modern_treasury),
    ("orb", SECRET, judge_orb),
    ("braintree", "public|" + SECRET, judge_braintree),
]


@pytest.mark.parametrize(("preset", "secret", "judge"), JUDGES, ids=[each[0] for each in JUDGES])
def test_what_a_preset_signs_its_own_sdk_accepts_and_refuses_a_forgery(preset, secret, judge):
    options = {"URL": URL} if preset == "square" else {}
    provider = find_preset(preset)("made", SECRETS=[secret], **options)
    webhook = compose(provider, make_values(provider, "charge.succeeded", order_id="A1"))
    judge(secret, sign(provider, webhook))
    assert refuses(judge, secret, forge_webhook(provider, webhook))
