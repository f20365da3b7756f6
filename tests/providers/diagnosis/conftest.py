"""The provider of a refused webhook, and what is found out about it."""

import pytest

from django_payment_webhooks.conf import get_provider
from django_payment_webhooks.providers.diagnosis import explain, find_changes
from django_payment_webhooks.providers.headers import find_meta_name

from ...factories import SECRET, sign
from .refused import BODY, OLD, TIMED

SECRETS = (SECRET, OLD, TIMED, sign(BODY), "batch-secret")


@pytest.fixture
def provider(settings):
    """Set the options of the provider; two secrets by default."""

    def provider(**options):
        options = {"SECRETS": [SECRET, OLD], **options}
        providers = {**settings.PAYMENT_WEBHOOKS_PROVIDERS, "default": options}
        settings.PAYMENT_WEBHOOKS_PROVIDERS = providers

    provider()
    return provider


def make_meta(headers):
    """Return headers as ``request.META`` has them."""
    return {find_meta_name(name): value for name, value in headers.items()}


def check_texts(texts):
    """Check that nothing that is shown has a secret or a signature in it."""
    for secret in SECRETS:
        assert not any(secret in text for text in texts)


@pytest.fixture
def explained():
    """Return the checks of a webhook by name. None of them shows a secret."""

    def explained(body, headers, name="default", now=None):
        checks = explain(get_provider(name), make_meta(headers), body, now)
        check_texts(check.text for check in checks)
        return {check.name: check for check in checks}

    return explained


@pytest.fixture
def failing(explained):
    """Return the name and the text of the only check that fails."""

    def failing(*args, **options):
        checks = explained(*args, **options)
        (failed,) = [check for check in checks.values() if not check.passed]
        return failed.name, failed.text

    return failing


@pytest.fixture
def changes(settings):
    """Return what would have to be different, None if that is not found. It shows no secret."""

    def changes(body, headers, name="default"):
        others = [other for other in settings.PAYMENT_WEBHOOKS_PROVIDERS if other != name]
        found = find_changes(
            get_provider(name), [get_provider(other) for other in others], make_meta(headers), body
        )
        if found is None:
            return None
        check_texts(text for change in found for text in change)
        return [change.text for change in found]

    return changes
