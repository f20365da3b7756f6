@pytest.fixture
def steps(settings, order):
    """Three types of event for an order, of which each requires the one before."""
    handle(settings, "first", parent=Effect)
    handle(settings, "second", parent=Effect, requires=("first",))
    handle(settings, "third", parent=Effect, requires=("first", "second"))
    return lambda name, **fields: EventFactory(type=name, provider_event_id=name, **fields)


def test_an_event_waits_for_what_it_requires(steps, received_signals, published):
    event = steps("second")
    process([event.pk])
    row = read(event)
    assert (row.status, row.error, row.attempts) == ("waiting", "It waits for first.", 0)
    assert is_in(row.waiting_since, 0)
    assert is_in(row.due_at, 30)
    assert row.enqueue_at == row.due_at
    assert (row.idempotency_key, row.finished_at) == (None, None)
    assert effects() == []
    assert received_signals.names() == ["event_waiting"]
    assert published() == []


def test_what_it_waited_for_releases_an_event(steps, received_signals, published):
    waiting, event = steps("second"), steps("first")
    process([waiting.pk])
    process([event.pk])
    row = read(waiting)
    assert row.status == "waiting"
    assert is_in(row.due_at, 0)
    assert is_in(row.enqueue_at, 30)
    (facts,) = received_signals.of("event_released")
    assert (facts["event"].pk, facts["by"].pk) == (waiting.pk, event.pk)
    assert received_signals.names() == [
        "event_waiting",
        "event_applied",
        "event_released",
        "event_processed",
    ]
    assert published() == [waiting.pk]
    process([waiting.pk])
    row = read(waiting)
    assert (row.status, row.error, row.attempts) == ("processed", "", 1)
    assert effects() == ["first", "second"]


def test_all_that_wait_for_an_order_are_released_and_nobody_else(
    steps, published, received_signals
):
    waiting = [steps("second", provider="p%d" % number) for number in range(3)]
    stranger = steps("second", order_id="A2")
    finished = EventFactory(status=Event.FAILED, due_at=None)
    not_due = EventFactory(status=Event.APPLIED, due_at=time.time() + (60))
    for event in waiting + [stranger]:
        process([event.pk])
    before = [columns(event) for event in (stranger, finished, not_due)]
    process([steps("first").pk])
    assert published() == [event.pk for event in waiting]
    assert [facts["event"].pk for facts in received_signals.of("event_released")] == [
        event.pk for event in waiting
    ]
    assert [columns(event) for event in (stranger, finished, not_due)] == before


def test_an_event_that_is_due_already_is_not_released_again(steps, published, received_signals):
    waiting = steps("second")
    process([waiting.pk])
    process([steps("first").pk])
    released = columns(waiting)
    release(Event.objects.get(type="first"))
    assert columns(waiting) == released
    assert published() == [waiting.pk]
    assert len(received_signals.of("event_released")) == 1


def test_an_event_that_somebody_else_releases_is_passed_over(
    steps, published, received_signals, monkeypatch
):
    first, second = (steps("second", provider=name) for name in ("p1", "p2"))
    for event in (first, second):
        process([event.pk])
    schedule = Event.reschedule

    def be_overtaken_and_schedule(self, *args, **values):
        if self.pk == first.pk:
            Event.objects.filter(pk=first.pk).update(version=F("version") + 1)
        schedule(self, *args, **values)

    monkeypatch.setattr(Event, "reschedule", be_overtaken_and_schedule)
    release(first)
    assert published() == [second.pk]
    assert [facts["event"].pk for facts in received_signals.of("event_released")] == [second.pk]


def test_a_refund_is_applied_if_its_charge_is_committed_between_its_look_and_its_wait(
    steps, monkeypatch, received_signals, published
):
    """The charge finds nobody waiting, so nobody would release the refund: it must look again."""
    waiting, event = steps("second"), steps("first")
    wait = processing.wait

    def wait_too_late(*args):
        process([event.pk])
        wait(*args)

    monkeypatch.setattr(processing, "wait", wait_too_late)
    process([waiting.pk])
    assert read(waiting).status == "processed"
    assert effects() == ["first", "second"]
    assert received_signals.of("event_released") == []
    assert received_signals.names()[-3:] == ["event_waiting", "event_applied", "event_processed"]
    assert published() == []


def test_a_refund_is_released_if_its_charge_is_committed_between_its_wait_and_its_second_look(
    steps, monkeypatch, published
):
    waiting, event = steps("second"), steps("first")
    wait = processing.wait

    def wait_too_early(*args):
        wait(*args)
        process([event.pk])

    monkeypatch.setattr(processing, "wait", wait_too_early)
    process([waiting.pk])
    monkeypatch.setattr(processing, "wait", wait)
    assert published() == [waiting.pk]
    process([waiting.pk])
    assert read(waiting).status == "processed"
    assert effects() == ["first", "second"]


def test_a_refund_is_released_if_its_charge_is_committed_after_its_second_look(steps, published):
    waiting, event = steps("second"), steps("first")
    process([waiting.pk])
    assert published() == []
    process([event.pk])
    assert published() == [waiting.pk]


@pytest.mark.parametrize(
    "order_of_arrival", [(3, 2, 1), (2, 3, 1), (3, 1, 2), (2, 1, 3), (1, 3, 2), (1, 2, 3)]
)
def test_a_chain_comes_to_the_same_end_in_every_order(
    order_of_arrival, steps, published, received_signals
):
    names = {1: "first", 2: "second", 3: "third"}
    for number in order_of_arrival:
        process([steps(names[number]).pk])
        while True:
            keys = published()
            if not keys:
                break
            for key in keys:
                process([key])
    assert set(Event.objects.values_list("status", flat=True)) == {"processed"}
    assert effects() == ["first", "second", "third"]
    assert [facts["event"].type for facts in received_signals.of("event_applied")] == [
        "first",
        "second",
        "third",
    ]


def test_a_chain_ends_without_any_message(steps, pass_time, run_due):
    for name in ("third", "second", "first"):
        steps(name)
    run_due()
    pass_time(30)
    run_due()
    assert effects() == ["first", "second", "third"]


@pytest.mark.parametrize(
    "status", [Event.RECEIVED, Event.DUPLICATE, Event.IGNORED, Event.FAILED, Event.WAITING]
)
def test_what_was_not_applied_makes_nothing_ready(status, steps):
    steps("first", status=status, due_at=None)
    event = steps("second")
    process([event.pk])
    assert read(event).status == "waiting"


@pytest.mark.parametrize("status", [Event.APPLIED, Event.PROCESSED, Event.FAILED])
def test_what_was_applied_makes_ready_even_if_its_delivery_fails(status, steps):
    steps("first", status=status, idempotency_key="k", due_at=None)
    event = steps("second")
    process([event.pk])
    assert read(event).status == "processed"


def test_what_was_applied_to_another_order_makes_nothing_ready(steps):
    process([steps("first", order_id="A2").pk])
    event = steps("second")
    process([event.pk])
    assert read(event).status == "waiting"


def test_events_that_are_about_no_order_have_nothing_in_common(steps):
    process([steps("first", order_id="").pk])
    event = steps("second", order_id="")
    process([event.pk])
    assert read(event).status == "waiting"


def test_an_event_that_requires_two_waits_for_both(steps):
    process([steps("first").pk])
    event = steps("third")
    process([event.pk])
    assert (read(event).status, read(event).error) == ("waiting", "It waits for first, second.")


def test_a_handler_can_say_itself_whether_it_is_ready(settings, order, pass_time):
    handle(
        settings, parent=Effect, is_ready=lambda self, event: Order.objects.get().status == "packed"
    )
    event = EventFactory()
    process([event.pk])
    assert (read(event).status, read(event).error) == ("waiting", "It waits for its handler.")
    Order.objects.update(status="packed")
    pass_time(30)
    process([event.pk])
    assert (read(event).status, effects()) == ("processed", [event.provider_event_id])


def test_looks_of_a_waiting_event_are_no_attempts_and_come_ever_more_rarely(
    steps, settings, monkeypatch
):
    settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS = 3
    clock, event, gaps = Clock(monkeypatch), steps("second"), []
    for _ in range(12):
        process([event.pk])
        row = read(event)
        assert (row.status, row.attempts) == ("waiting", 0)
        gap = (row.due_at - clock.now()).total_seconds()
        gaps.append(round(gap))
        clock.advance(gap)
    assert gaps[0] == 30
    for gap, shorter in zip(gaps[2:], gaps[1:]):
        assert gap == pytest.approx(min(2 * shorter, 3600), abs=12)
    assert gaps[-1] == 3600


def test_an_event_that_waited_in_vain_fails_at_its_deadline(
    steps, monkeypatch, received_signals, published
):
    clock, event, looks, started = Clock(monkeypatch), steps("second"), 0, timezone.now()
    while read(event).status != "failed":
        process([event.pk])
        looks += 1
        assert looks < 100
        if read(event).status == "waiting":
            clock.advance((read(event).due_at - clock.now()).total_seconds())
    row = read(event)
    days = (clock.now() - started).total_seconds() / 86400
    assert days == pytest.approx(3, abs=0.01)
    assert looks < 90
    assert "It waits for first. That did not come in time." in row.error
    assert (row.due_at, row.enqueue_at, row.idempotency_key) == (None, None, None)
    assert received_signals.names() == ["event_waiting", "event_failed"]
    assert effects() == []
    assert published() == []


def test_events_that_wait_for_each_other_both_fail_at_their_deadline(settings, monkeypatch):
    handle(settings, "hen", requires=("egg",))
    handle(settings, "egg", requires=("hen",))
    clock, events = Clock(monkeypatch), [EventFactory(type="hen"), EventFactory(type="egg")]
    for event in events:
        process([event.pk])
    assert {read(event).status for event in events} == {"waiting"}
    clock.advance(3 * 86400)
    for event in events:
        process([event.pk])
    assert {read(event).status for event in events} == {"failed"}


def test_a_failure_of_the_second_look_is_repeated_soon_and_not_yet_counted(
    settings, order, received_signals
):
    looks = []

    def is_ready(self, event):
        looks.append(event.attempts)
        return len(looks) > 1

    def apply(self, event):
        effect(event)
        raise ValueError

    handle(settings, is_ready=is_ready, apply=apply)
    event = EventFactory()
    process([event.pk])
    assert len(looks) == 2
    assert read(event).attempts == 0
    assert 1.25 - 1 <= seconds_until_due(event) <= 2.5
    assert effects() == []
    assert received_signals.names() == ["event_waiting", "event_retried"]


