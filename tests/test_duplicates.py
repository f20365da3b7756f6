def test_two_events_that_say_the_same_have_one_effect(
    order, run_due, shop_state, received_signals, published
):
    data = {"charge_id": "ch_1", "amount": "10.00", "currency": "EUR"}
    first = EventFactory(provider_event_id="evt_1", data=data)
    second = EventFactory(provider_event_id="evt_2", data=data)
    run_due()
    row = read(second)
    assert (read(first).status, row.status) == ("processed", "duplicate")
    assert row.error == "It says the same as charge.succeeded evt_1."
    assert (row.idempotency_key, row.due_at, row.enqueue_at) == (None, None, None)
    assert read(first).idempotency_key == digest("order-paid:A1")
    assert shop_state()["ledger"] == [("payment", "A1")]
    assert received_signals.names() == ["event_applied", "event_processed", "event_duplicate"]
    assert published() == []


@pytest.mark.parametrize("other", [{"charge_id": "ch_2"}, {"amount": "9.00"}, {"currency": "USD"}])
def test_an_order_that_was_charged_twice_is_a_conflict(
    other, order, run_due, shop_state, received_signals
):
    data = {"charge_id": "ch_1", "amount": "10.00", "currency": "EUR"}
    first = EventFactory(provider_event_id="evt_1", data=data)
    second = EventFactory(provider_event_id="evt_2", data=dict(data, **other))
    run_due()
    assert (read(first).status, read(second).status) == ("processed", "duplicate")
    assert shop_state()["ledger"] == [("payment", "A1")]
    (facts,) = received_signals.of("event_conflicted")
    assert (facts["event"].pk, facts["other"].pk) == (second.pk, first.pk)


def test_the_database_itself_refuses_a_second_effect(
    settings, order, monkeypatch, received_signals
):
    """Between the look for the other event and the fence, the other event is applied."""
    handle(settings, parent=OneEffect)
    first, second = EventFactory(), EventFactory()
    looks, copy = [], processing.copy

    def copy_slowly(event):
        looks.append(event.pk)
        if looks == [second.pk]:
            process([first.pk])
        return copy(event)

    monkeypatch.setattr(processing, "copy", copy_slowly)
    process([second.pk])
    assert looks == [second.pk, first.pk]
    assert (read(first).status, read(second).status) == ("processed", "duplicate")
    assert read(second).attempts == 1
    assert effects() == [first.provider_event_id]
    assert received_signals.names()[:2] == ["event_applied", "event_processed"]
    assert received_signals.names()[-1] == "event_duplicate"
    assert received_signals.of("event_retried") == []


def test_events_that_say_the_same_at_the_same_time_have_one_effect(settings, order):
    def apply(self, event):
        effect(event)
        time.sleep(0.05)

    handle(settings, parent=OneEffect, apply=apply)
    events = [EventFactory() for _ in range(4)]
    assert at_once(*[lambda pk=event.pk: process([pk]) for event in events]) == [None] * 4
    assert len(effects()) == 1
    statuses = sorted(read(event).status for event in events)
    assert statuses == ["duplicate", "duplicate", "duplicate", "processed"]
    assert {read(event).attempts for event in events} == {1}


def test_the_same_refund_id_of_two_providers_is_two_refunds(settings, order, run_due, shop_state):
    for name in ("default", "timed"):
        data = {"refund_id": "re_1", "amount": "2.00", "currency": "EUR"}
        EventFactory(provider=name, type="refund.created", provider_event_id="evt_r", data=data)
    EventFactory(data={"amount": "10.00", "currency": "EUR"})
    run_due()
    assert shop_state()["refunds"] == [("A1", "re_1"), ("A1", "re_1")]
