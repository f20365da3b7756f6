"""The providers, each of them set up and sending."""

import time

import pytest

from .samples import SAMPLES


@pytest.fixture(params=SAMPLES, ids=[sample.name for sample in SAMPLES])
def sample(request, settings):
    """Each provider's sample, the provider being set up."""
    request.param.set_up(settings)
    return request.param


@pytest.fixture
def send(sample, post):
    """Send an event as the provider does."""

    def send(event_id="evt_1", body=None, seconds=0, **changed):
        body = body or sample.body(event_id)
        headers = dict(sample.headers(event_id, body, int(time.time()) + seconds), **changed)
        return post(body, sample.name, **headers)

    return send
