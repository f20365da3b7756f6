def test_enqueue_does_not_wait_for_the_broker(broker, receive):
    sending, release_broker, sent = threading.Event(), threading.Event(), []

    def send(pk):
        sending.set()
        release_broker.wait(10)
        sent.append(pk)

    broker(send)
    for _ in range(20):
        processing.enqueue(1)
    assert sending.wait(10)
    assert sent == []
    release_broker.set()
    assert processing.publisher.daemon  # it does not keep a process from ending


def test_a_broker_that_fails_is_told_and_left_alone_for_a_while(
    broker, settings, receive, received_signals
):
    settings.PAYMENT_WEBHOOKS_PUBLISH_PAUSE = 0.5
    calls = []

    def send(pk):
        calls.append((pk, time.monotonic()))
        if len(calls) == 1:
            raise ConnectionRefusedError("no broker")

    broker(send)
    (first, _), (second, _), (third, _) = receive(), receive(), receive()
    eventually(lambda: len(calls) == 3)
    assert [pk for pk, _ in calls] == [first.pk, second.pk, third.pk]
    assert calls[1][1] - calls[0][1] >= 0.5
    (facts,) = received_signals.of("enqueue_failed")
    assert isinstance(facts["error"], ConnectionRefusedError)
    assert facts["sender"] is Event
    # Its message is lost; the sweeper makes up for it.
    assert (read(first).status, is_in(read(first).enqueue_at, 30)) == ("received", True)


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError, ImportError, TypeError, OSError, IntegrityError, RuntimeError]
)
def test_whatever_the_brokers_client_raises_stays_with_the_publisher(
    error, broker, receive, received_signals
):
    calls = []

    def send(pk):
        calls.append(pk)
        if len(calls) == 1:
            raise error("from the client")

    broker(send)
    first, created = receive()
    assert created
    second, _ = receive()
    eventually(lambda: calls == [first.pk, second.pk])
    assert [type(facts["error"]) for facts in received_signals.of("enqueue_failed")] == [error]


def test_messages_that_nobody_takes_do_not_fill_the_memory(broker):
    sending, release_broker = threading.Event(), threading.Event()
    sent = []

    def send(pk):
        sending.set()
        release_broker.wait(10)
        sent.append(pk)

    broker(send)
    processing.enqueue(0)
    assert sending.wait(5)
    for number in range(1, 1500):
        processing.enqueue(number)
    assert processing.unpublished.qsize() == 1000
    release_broker.set()
    eventually(lambda: len(sent) == 1001)
    assert sent == list(range(1001))


def test_messages_are_published_without_celerys_own_retries(monkeypatch, receive):
    calls = []
    monkeypatch.setattr(
        process, "apply_async", lambda *args, **options: calls.append((args, options))
    )
    event, _ = receive()
    eventually(lambda: calls)
    assert calls == [(((event.pk,),), {"retry": False})]


def test_a_message_is_published_in_the_context_of_its_request(broker):
    trace, seen = contextvars.ContextVar("trace", default="none"), []
    broker(lambda pk: seen.append((pk, trace.get())))
    for pk, name in ((1, "first"), (2, "second")):
        token = trace.set(name)
        processing.enqueue(pk)
        trace.reset(token)
    eventually(lambda: len(seen) == 2)
    assert seen == [(1, "first"), (2, "second")]


def test_a_forked_process_publishes_by_a_thread_of_its_own(broker):
    readable, writable = os.pipe()
    broker(lambda pk: os.write(writable, b"%d %d\n" % (os.getpid(), pk)))
    # The app's own queue, which the other tests replace by one that can end.
    with mock.patch.multiple(
        processing, unpublished=queue.SimpleQueue(), publisher=threading.Thread()
    ):
        processing.enqueue(1)
        assert os.read(readable, 100) == b"%d 1\n" % os.getpid()
        child = os.fork()
        if child == 0:
            processing.enqueue(2)
            time.sleep(10)
            os._exit(0)
        try:
            assert os.read(readable, 100) == b"%d 2\n" % child
            processing.enqueue(3)
            assert os.read(readable, 100) == b"%d 3\n" % os.getpid()
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
            os.close(readable)
            os.close(writable)


def test_a_system_that_has_no_thread_left_changes_nothing_for_the_sender(receive, monkeypatch):
    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(processing, "publisher", threading.Thread())
    monkeypatch.setattr(threading.Thread, "start", start)
    event, created = receive()
    assert created
    assert (read(event).status, is_in(read(event).enqueue_at, 30)) == ("received", True)


def test_an_eager_task_runs_at_once(eager, order, webhook, published, shop_state):
    assert webhook(order_id="A1").json()["status"] == "accepted"
    assert Event.objects.get().status == "processed"
    assert shop_state()["orders"] == {"A1": "paid"}
    assert published() == []


def test_an_eager_task_that_fails_does_not_spoil_the_answer(eager, settings, webhook, published):
    def apply(self, event):
        raise DownstreamError(503)

    handle(settings, apply=apply)
    answer = webhook(order_id="A1")
    assert (answer.status_code, answer.json()["status"]) == (200, "accepted")
    assert (Event.objects.get().status, Event.objects.get().attempts) == ("received", 1)


def test_eager_tasks_release_what_waits(eager, order, webhook, shop_state):
    webhook(type="refund.created", refund_id="re_1")
    assert Event.objects.get().status == "waiting"
    webhook()
    assert set(Event.objects.values_list("status", flat=True)) == {"processed"}
    assert shop_state()["refunds"] == [("A1", "re_1")]


