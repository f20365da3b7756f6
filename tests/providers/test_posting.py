"""An answer is read whatever it is, and what it says is safe to be shown."""

import json

import pytest

from django_payment_webhooks.providers.posting import read_answer


def test_an_answer_says_what_became_of_the_event():
    answer = read_answer(200, b'{"status": "accepted", "event_id": "evt_1"}', 0.123456)
    assert answer.status == 200
    assert (answer.outcomes, answer.event_ids, answer.error) == (["accepted"], ["evt_1"], "")
    assert (answer.bytes, answer.seconds) == (43, 0.1235)


def test_an_answer_says_what_became_of_each_of_several_events():
    events = [{"status": "accepted", "event_id": "evt_1"}, {"status": "duplicate"}, {}, 17]
    answer = read_answer(200, json.dumps({"events": events}).encode(), 0)
    assert (answer.outcomes, answer.event_ids) == (["accepted", "duplicate"], ["evt_1"])


def test_an_answer_can_say_what_is_wrong():
    answer = read_answer(401, b'{"error": "The signature does not match."}', 0)
    assert (answer.status, answer.error) == (401, "The signature does not match.")
    assert (answer.outcomes, answer.event_ids) == ([], [])


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"1", b"null", b"[accepted]", b"\xff", b"<h1>", b'{"events": 5}', b"[" * 100000],
)
def test_an_answer_that_says_nothing_is_no_error(body):
    answer = read_answer(200, body, 0)
    assert (answer.outcomes, answer.event_ids, answer.error) == ([], [], "")
    assert answer.bytes == len(body)


def test_what_an_answer_says_can_not_move_the_cursor():
    body = json.dumps({"status": "\x1b[2J", "event_id": ["\r\n"], "error": "\u2028"}).encode()
    answer = read_answer(200, body, 0)
    for text in (*answer.outcomes, *answer.event_ids, answer.error):
        assert text.isprintable()
