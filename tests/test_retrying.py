@pytest.fixture
def fail_with(settings):
    """Process an event whose handler raises an error, and return the event."""

    def fail_with(error, verb="apply", **fields):
        def work(self, event):
            raise error

        handle(settings, **{verb: work})
        event = EventFactory(**fields)
        process([event.pk])
        return event

    return fail_with


# Those that need no commit run in a transaction, because that is quicker.
within_a_transaction = pytest.mark.django_db


@within_a_transaction
@pytest.mark.parametrize(
    "attempts, longest", [(0, 5), (1, 10), (2, 20), (3, 40), (10, 5120), (11, 10240), (12, 14400)]
)
def test_the_backoff_doubles_with_each_attempt_up_to_a_ceiling(
    attempts, longest, fail_with, received_signals
):
    event = fail_with(ValueError("again"), attempts=attempts)
    row = read(event)
    assert longest / 2 - 2 <= seconds_until_due(event) <= longest
    assert row.enqueue_at == row.due_at
    assert (row.status, row.attempts) == ("received", attempts + 1)
    (facts,) = received_signals.of("event_retried")
    assert (facts["event"].pk, str(facts["error"])) == (event.pk, "again")


@within_a_transaction
def test_the_backoff_stays_at_its_ceiling(fail_with, settings):
    settings.PAYMENT_WEBHOOKS_MAX_ATTEMPTS = 1000
    event = fail_with(ValueError(), attempts=600)
    assert 7200 - 2 <= seconds_until_due(event) <= 14400


@within_a_transaction
def test_the_backoff_is_jittered_over_its_upper_half(fail_with, monkeypatch):
    bounds = []

    def uniform(low, high):
        bounds.append((low, high))
        return low + 0.25 * (high - low)

    monkeypatch.setattr(random, "uniform", uniform)
    event = fail_with(ValueError(), attempts=3)
    assert bounds == [(20, 40)]
    assert seconds_until_due(event) == pytest.approx(25, abs=2)


@within_a_transaction
def test_two_events_that_fail_together_are_not_repeated_together(fail_with):
    due = {round(seconds_until_due(fail_with(ValueError(), attempts=8)), 1) for _ in range(5)}
    assert len(due) > 1


def http_date(seconds):
    """Return a moment from now as HTTP writes it."""
    return formatdate(time.time() + seconds, usegmt=True)


@within_a_transaction
@pytest.mark.parametrize(
    "asked, granted", [("120", 120), ("14400", 14400), ("1000000000", 14400), ("9" * 5000, 14400)]
)
@pytest.mark.parametrize("status_code", [429, 503])
def test_the_seconds_that_downstream_asks_for_are_granted_within_bounds(
    status_code, asked, granted, fail_with
):
    event = fail_with(DownstreamError(status_code, asked))
    assert seconds_until_due(event) == pytest.approx(granted, abs=3)


@within_a_transaction
@pytest.mark.parametrize("asked, granted", [(600, 600), (86400, 14400), (10**9, 14400)])
def test_the_moment_that_downstream_asks_for_is_granted_within_bounds(asked, granted, fail_with):
    event = fail_with(DownstreamError(503, http_date(asked)))
    assert seconds_until_due(event) == pytest.approx(granted, abs=3)


@within_a_transaction
@pytest.mark.parametrize(
    "asked",
    [None, "", "0", "1", "-5", "-1e9", "soon", "1e9", "12.5", "\u00b2", "NaN", " ", "Mon, 99 Foo"],
)
def test_a_retry_after_that_is_short_or_makes_no_sense_changes_nothing(asked, fail_with):
    event = fail_with(DownstreamError(429, asked))
    assert 0.5 <= seconds_until_due(event) <= 5
    assert (read(event).status, read(event).attempts) == ("received", 1)


@within_a_transaction
def test_a_retry_after_that_has_passed_changes_nothing(fail_with):
    event = fail_with(DownstreamError(429, http_date(-600)))
    assert 0.5 <= seconds_until_due(event) <= 5


@pytest.mark.parametrize("status_code", [400, 401, 403, 404, 405, 409, 410, 422, 451, 499])
def test_what_downstream_rejects_fails_at_once(status_code, fail_with, received_signals):
    event = fail_with(DownstreamError(status_code, "60"), verb="deliver")
    row = read(event)
    assert (row.status, row.attempts, row.due_at, row.enqueue_at) == ("failed", 1, None, None)
    assert row.error == repr(DownstreamError(status_code))
    assert received_signals.names() == ["event_applied", "event_failed"]


@pytest.mark.parametrize("status_code", [408, 425, 429, 500, 502, 503, 504, 599, 302, 0])
def test_what_downstream_could_not_do_is_tried_again(status_code, fail_with, received_signals):
    event = fail_with(DownstreamError(status_code), verb="deliver")
    assert (read(event).status, read(event).attempts) == ("applied", 1)
    assert received_signals.names() == ["event_applied", "event_retried"]


def test_an_error_without_an_answer_is_tried_again(fail_with):
    error = ConnectionError("reset by peer")
    error.response = None  # as requests leaves it when nothing came back
    event = fail_with(error)
    assert (read(event).status, read(event).attempts) == ("received", 1)


@pytest.mark.parametrize("verb", ["prepare", "idempotency_key", "is_ready", "apply", "deliver"])
def test_a_permanent_failure_fails_at_once(verb, fail_with, received_signals, published):
    event = fail_with(PermanentFailure("the order was deleted"), verb=verb)
    row = read(event)
    assert (row.status, row.attempts, row.due_at, row.enqueue_at) == ("failed", 1, None, None)
    assert "the order was deleted" in row.error
    assert is_in(row.finished_at, 0)
    assert received_signals.names()[-1] == "event_failed"
    assert received_signals.of("event_retried") == []
    assert published() == []


@pytest.mark.parametrize("verb", ["prepare", "apply", "deliver"])
def test_an_event_that_fails_for_ever_is_tried_a_bounded_number_of_times(
    verb, settings, order, monkeypatch, received_signals, published
):
    calls, clock, started = [], Clock(monkeypatch), timezone.now()

    def work(self, event):
        calls.append(event.idempotency_key)
        raise DownstreamError(503)

    handle(settings, parent=Effect, **{verb: work})
    event = EventFactory()
    while read(event).due_at:
        process([event.pk])
        if read(event).due_at:
            clock.advance((read(event).due_at - clock.now()).total_seconds())
        assert len(calls) <= 25
    row = read(event)
    assert len(calls) == 25
    assert (row.status, row.attempts, row.error) == ("failed", 25, repr(DownstreamError(503)))
    assert 1 <= (clock.now() - started).total_seconds() / 86400 <= 3
    assert len(received_signals.of("event_retried")) == 24
    assert len(received_signals.of("event_failed")) == 1
    assert len(set(calls)) == 1
    assert len(effects()) == (verb == "deliver")
    assert published() == []


def test_a_long_error_is_cut(fail_with):
    event = fail_with(ValueError("x" * 10000))
    assert len(read(event).error) == 500
    assert len(read(fail_with(PermanentFailure("x" * 10000))).error) == 500


def test_a_failed_take_is_tried_again(settings, order, monkeypatch, received_signals):
    handle(settings, parent=Effect)
    event, schedule, calls = EventFactory(), Event.reschedule, []

    def fail_first(self, *args, **values):
        calls.append(values)
        if len(calls) == 1:
            raise OperationalError("database is locked")
        return schedule(self, *args, **values)

    monkeypatch.setattr(Event, "reschedule", fail_first)
    process([event.pk])
    assert read(event).status == "received"
    assert 0 < seconds_until_due(event) <= 5
    assert effects() == []
    assert received_signals.names() == ["event_retried"]
