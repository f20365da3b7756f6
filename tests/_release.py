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


def test_what_waits_is_released_although_the_delivery_fails(steps, settings, published):
    def deliver(self, event):
        raise DownstreamError(503)

    waiting, event = steps("second"), steps("first")
    handle(settings, "first", parent=Effect, deliver=deliver)
    process([waiting.pk])
    process([event.pk])
    assert read(event).status == "applied"
    assert published() == [waiting.pk]
    process([waiting.pk])
    assert read(waiting).status == "processed"


def test_a_worker_that_dies_between_commit_and_release_delays_what_waits(
    steps, monkeypatch, pass_time, published
):
    waiting, event = steps("second"), steps("first")
    process([waiting.pk])
    release = processing.release

    def die(event):
        raise WorkerKilled

    monkeypatch.setattr(processing, "release", die)
    with pytest.raises(WorkerKilled):
        process([event.pk])
    monkeypatch.setattr(processing, "release", release)
    assert (read(event).status, read(waiting).status, published()) == ("applied", "waiting", [])
    pass_time(30)
    process([waiting.pk])  # its next look finds what it requires: it needs no release
    assert read(waiting).status == "processed"
    pass_time(300)
    process([event.pk])
    assert read(event).status == "processed"
    assert effects() == ["first", "second"]
