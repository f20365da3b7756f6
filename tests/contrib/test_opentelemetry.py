"""Traces: that of the request goes on in the worker, and both show which event they are about."""

import json
import logging
import time
from contextvars import copy_context
from importlib import import_module
from unittest import mock

import pytest
from celery.contrib.testing.worker import start_worker
from django.test import Client
from django.utils.module_loading import import_string

from django_payment_webhooks.conf import load
from django_payment_webhooks.exceptions import PermanentFailure
from django_payment_webhooks.models import Event
from django_payment_webhooks.publisher import Nudge, process

from ..conftest import get_publisher
from ..doubles import handle
from ..factories import PayloadFactory, sign
from ..test_tenants import TwoTenants

pytest.importorskip(
    "opentelemetry.instrumentation.celery", reason="OpenTelemetry needs a newer Python."
)
opentelemetry = import_module("django_payment_webhooks.contrib.opentelemetry")
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
    instrumentors = [
        import_string("opentelemetry.instrumentation.django.DjangoInstrumentor")(),
        import_string("opentelemetry.instrumentation.celery.CeleryInstrumentor")(),
    ]
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=provider)

    def get_finished_spans():
        return exporter.get_finished_spans()

    get_finished_spans.provider = provider
    yield get_finished_spans
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
    assert get_publisher().flush(10)
    app = process.app
    queues = [app.conf.task_default_queue]
    with start_worker(app, perform_ping_check=False, pool="solo", queues=queues, loglevel="INFO"):
        for _ in range(600):
            if not Event.objects.filter(due_at__lte=time.time() + 1).exists():
                # Without it the worker listens for two more seconds.
                app.control.shutdown()
                return
            time.sleep(0.05)
    raise AssertionError("The worker did not finish the events.")


def only(found, start):
    """Return the one span whose name begins so."""
    (span,) = [span for span in found if span.name.startswith(start)]
    return span


def test_a_worker_in_a_thread_leaves_the_loggers_of_the_tests_alone(order, caplog):
    work()
    logging.getLogger("django_payment_webhooks").warning("still heard")
    assert "still heard" in caplog.text


def test_the_trace_of_the_request_goes_on_in_the_worker(spans, order):
    assert post(PayloadFactory(event_id="evt_1")).status_code == 200
    work()
    request, published, run = (only(spans(), start) for start in ("POST", "apply_async/", "run/"))
    assert published.name == "apply_async/payment_webhooks.process_events"
    assert {span.context.trace_id for span in (request, published, run)} == {
        request.context.trace_id
    }
    assert published.parent.span_id == request.context.span_id
    assert run.parent.span_id == published.context.span_id


def test_both_spans_show_which_event_they_are_about_and_no_more(spans, order):
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


class HeldPublisher(opentelemetry.TracingPublisher):
    """A publisher whose thread does not start: what gathers in it is sent by hand."""

    def put(self, keys, travels_alone, tenant=""):
        """Keep it."""
        self.unsent.put_nowait(Nudge(keys, copy_context(), travels_alone, tenant))

    def send_gathered(self):
        """Send one message, as the thread does."""
        self.send(self.gather())
        while self.unsent.unfinished_tasks:
            self.unsent.task_done()


@pytest.fixture
def held(settings):
    """Return a publisher that sends on demand."""
    settings.PAYMENT_WEBHOOKS_PUBLISHER = f"{__name__}.HeldPublisher"
    return load(settings.PAYMENT_WEBHOOKS_PUBLISHER)


@pytest.fixture
def tracer(spans):
    """Let the extension's own spans be seen, too."""
    with mock.patch.object(opentelemetry.trace, "get_tracer", spans.provider.get_tracer):
        yield


def test_a_message_of_several_events_is_linked_to_the_traces_of_their_requests(
    spans, tracer, held, order
):
    for name in ("evt_1", "evt_2"):
        assert post(PayloadFactory(event_id=name)).status_code == 200
    held.send_gathered()
    work()
    requests = [span.context for span in spans() if span.name.startswith("POST")]
    publish = only(spans(), "publish payment_webhooks.process_events")
    assert {link.context.trace_id for link in publish.links} == {
        context.trace_id for context in requests
    }
    assert len(publish.links) == 2
    assert publish.parent is None
    # The worker goes on in the message's own trace, and shows each event in it.
    run = only(spans(), "run/")
    assert run.context.trace_id == publish.context.trace_id
    assert "payment_webhooks.event_id" not in run.attributes
    shown = [(each.name, each.attributes["payment_webhooks.event_id"]) for each in run.events]
    assert shown == [
        ("event applied", "evt_1"),
        ("event processed", "evt_1"),
        ("event duplicate", "evt_2"),
    ]


def test_a_message_of_one_event_goes_on_in_its_request_with_this_publisher_too(
    spans, tracer, held, order
):
    post(PayloadFactory(event_id="evt_1"))
    held.send_gathered()
    work()
    request, run = only(spans(), "POST"), only(spans(), "run/")
    assert request.context.trace_id == run.context.trace_id
    assert not [span for span in spans() if span.name.startswith("publish")]


@pytest.mark.parametrize(
    ("error", "outcome"), [(ValueError("broken"), "retried"), (PermanentFailure("no"), "failed")]
)
def test_the_span_of_a_failed_attempt_has_the_error(spans, settings, error, outcome):
    def apply(self, event):
        raise error

    handle(settings, apply=apply)
    post(PayloadFactory(event_id="evt_1"))
    work()
    run = only(spans(), "run/")
    assert run.attributes["payment_webhooks.outcome"] == outcome
    assert run.status.status_code.name == "ERROR"
    assert run.status.description == repr(error)
    (raised,) = [event for event in run.events if event.name == "exception"]
    assert raised.attributes["exception.message"] == str(error)
    assert raised.attributes["payment_webhooks.event_id"] == "evt_1"
    assert "raise error" in raised.attributes["exception.stacktrace"]
    assert only(spans(), "POST").status.status_code.name == "UNSET"


def test_the_span_of_a_tenant_s_message_shows_its_event(spans, order, settings):
    settings.PAYMENT_WEBHOOKS_TENANTS = "tests.test_tenants.TwoTenants"
    with TwoTenants().enter("red"):
        post(PayloadFactory(event_id="evt_1"))
    work()
    assert only(spans(), "run/").attributes["payment_webhooks.event_id"] == "evt_1"


def test_an_event_that_waits_is_no_error(spans, order):
    post(PayloadFactory(event_id="evt_1", type="refund.created", data__refund_id="re_1"))
    work()
    run = only(spans(), "run/")
    assert run.attributes["payment_webhooks.outcome"] == "waiting"
    assert run.status.status_code.name == "UNSET"


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


def test_a_rejected_webhook_shows_why_and_nothing_that_its_sender_chose(spans, order):
    post(PayloadFactory(event_id="evt_1"), signature="0" * 64)
    attributes = only(spans(), "POST").attributes
    assert attributes["payment_webhooks.reason"] == "mismatch"
    assert not [
        name
        for name in attributes
        if name in ("payment_webhooks.event_id", "payment_webhooks.provider")
    ]


def test_without_an_instrumentation_nothing_is_traced_and_everything_works(order, webhook, run_due):
    webhook(event_id="evt_1")
    run_due()
    assert Event.objects.get().status == Event.PROCESSED
