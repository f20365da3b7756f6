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
