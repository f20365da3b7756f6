"""Traces: the trace of the request goes on in the worker, and both tell which event they are about."""

import json
import time
from importlib import import_module

import pytest
from celery.contrib.testing.worker import start_worker
from django.test import Client
from django.utils.module_loading import import_string

from django_payment_webhooks import processing
from django_payment_webhooks.models import Event

from ..factories import PayloadFactory, sign

pytest.importorskip(
    "opentelemetry.instrumentation.celery", reason="OpenTelemetry needs a newer Python."
)
pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/v1/webhooks/payment"


@pytest.fixture
def spans(settings):
    """Return the spans that are finished so far, with the standard instrumentations and the
    extension at work.
    """
    exporter = import_string(
        "opentelemetry.sdk.trace.export.in_memory_span_exporter.InMemorySpanExporter"
    )()
    provider = import_string("opentelemetry.sdk.trace.TracerProvider")()
    provider.add_span_processor(
        import_string("opentelemetry.sdk.trace.export.SimpleSpanProcessor")(exporter)
    )
    settings.MIDDLEWARE = list(settings.MIDDLEWARE)
    # Loaded for the rest of the session: where nothing is traced it does nothing.
    import_module("django_payment_webhooks.contrib.opentelemetry")
    instrumentors = [
        import_string("opentelemetry.instrumentation.django.DjangoInstrumentor")(),
        import_string("opentelemetry.instrumentation.celery.CeleryInstrumentor")(),
    ]
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=provider)
    yield exporter.get_finished_spans
    for instrumentor in instrumentors:
        instrumentor.uninstrument()


def post(*payloads, signature=None, provider=None):
    """Post a webhook, by a client that knows the middleware."""
    body = json.dumps(payloads[0] if len(payloads) == 1 else {"items": list(payloads)}).encode()
    headers = {"HTTP_X_SIGNATURE": signature or sign(body)}
    path = PATH + ("/" + provider if provider else "")
    return Client().post(path, body, content_type="application/json", **headers)


def work():
    """Let a Celery worker do what is in the queue."""
    processing.unpublished.settle()
    app = processing.process.app
    with start_worker(
        app, perform_ping_check=False, pool="solo", queues=[app.conf.task_default_queue]
    ):
        for _ in range(600):
            if not Event.objects.filter(finished_at=None).exists():
                return
            time.sleep(0.05)
    raise AssertionError("The worker did not finish the events.")


def only(found, start):
    """Return the one span whose name begins so."""
    (span,) = [span for span in found if span.name.startswith(start)]
    return span


def test_the_trace_of_the_request_goes_on_in_the_worker(spans, order):
    assert post(PayloadFactory(event_id="evt_1")).status_code == 200
    work()
    request, published, run = (only(spans(), start) for start in ("POST", "apply_async/", "run/"))
    assert published.name == "apply_async/payment_webhooks.process_event"
    assert {span.context.trace_id for span in (request, published, run)} == {
        request.context.trace_id
    }
    assert published.parent.span_id == request.context.span_id
    assert run.parent.span_id == published.context.span_id


def test_both_spans_tell_which_event_they_are_about_and_no_more(spans, order):
    post(PayloadFactory(event_id="evt_1", data__note="a note that is nobody's business"))
    work()
    request, run = only(spans(), "POST").attributes, only(spans(), "run/").attributes
    about = {
        "provider": "default",
        "event_id": "evt_1",
        "type": "charge.succeeded",
        "order_id": "A1",
    }
    for attributes, outcome in ((request, "accepted"), (run, "processed")):
        for name, value in dict(about, outcome=outcome).items():
            assert attributes["payment_webhooks." + name] == value
    assert run["payment_webhooks.attempts"] == 1
    for span in spans():
        assert "nobody's business" not in span.to_json()
        assert sign(b"") not in span.to_json()


def test_two_requests_have_two_traces(spans, order):
    post(PayloadFactory(event_id="evt_1"))
    post(PayloadFactory(event_id="evt_2", order_id="A2"))
    work()
    traces = {}
    for span in spans():
        event = span.attributes.get("payment_webhooks.event_id")
        if event:
            traces.setdefault(event, set()).add(span.context.trace_id)
    assert {event: len(found) for event, found in traces.items()} == {"evt_1": 1, "evt_2": 1}
    assert traces["evt_1"] != traces["evt_2"]


def test_the_events_of_one_webhook_are_events_of_its_span(spans, order, settings):
    options = dict(settings.PAYMENT_WEBHOOKS_PROVIDERS["default"], EVENTS_PATH="items.*")
    settings.PAYMENT_WEBHOOKS_PROVIDERS = dict(settings.PAYMENT_WEBHOOKS_PROVIDERS, default=options)
    post(PayloadFactory(event_id="evt_1"), PayloadFactory(event_id="evt_2"))
    span = only(spans(), "POST")
    assert span.attributes["payment_webhooks.events"] == 2
    assert "payment_webhooks.event_id" not in span.attributes
    assert [event.attributes["payment_webhooks.event_id"] for event in span.events] == [
        "evt_1",
        "evt_2",
    ]


def test_a_rejected_webhook_tells_why_and_nothing_that_its_sender_chose(spans, order):
    post(PayloadFactory(event_id="evt_1"), signature="0" * 64)
    attributes = only(spans(), "POST").attributes
    assert attributes["payment_webhooks.reason"] == "mismatch"
    assert not [
        name
        for name in attributes
        if name in ("payment_webhooks.event_id", "payment_webhooks.provider")
    ]


def test_without_an_instrumentation_nothing_is_traced_and_everything_works(order, webhook, run_due):
    import_module("django_payment_webhooks.contrib.opentelemetry")
    webhook(event_id="evt_1")
    run_due()
    assert Event.objects.get().status == Event.PROCESSED
