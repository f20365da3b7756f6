"""Sends the webhooks of a story as providers do: what is not answered 200 is sent again, until it
is.

As long as the traffic is held up, nothing is sent for the first time: a slow machine gets less to
do, not too much.
"""

import heapq
import random
import threading
import time
from collections import Counter, defaultdict
from http.client import HTTPException

from processes import post_webhook

from .story import FORGERIES, PATHS, Delivery

SENDERS = 12
PATIENCE = 5  # seconds that a sender waits for an answer


class Traffic:
    """Several senders at once, and all that they were answered.

    ``clock`` is by how many seconds the second provider's clock is wrong at present. ``answers``
    counts the answers by their status, None for no answer. ``accepted`` counts the answers of 200
    for each event by what they said. ``mistakes`` counts the answers that should not be.
    """

    def __init__(self, base_url, deliveries, seed):
        self.base_url, self.random, self.clock = base_url, random.Random("traffic of %s" % seed), 0
        self.answers, self.accepted, self.mistakes = Counter(), defaultdict(Counter), Counter()
        self.errors, self.lock, self.over, self.busy = [], threading.Lock(), threading.Event(), 0
        # What is to be sent, and what is to be sent again. The number keeps a heap from comparing
        # deliveries.
        self.queue = [(delivery.at, number, delivery) for number, delivery in enumerate(deliveries)]
        heapq.heapify(self.queue)
        self.repeated, self.number = [], len(self.queue)
        self.is_held, self.held_for, self.begun = False, 0, set()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(SENDERS)]

    def start(self):
        """Begin to send."""
        self.started = self.looked = time.monotonic()
        for thread in self.threads:
            thread.start()

    def stop(self):
        """Send nothing more. Raises what went wrong in a sender."""
        self.over.set()
        for thread in self.threads:
            thread.join(2 * PATIENCE)
        if self.errors:
            raise self.errors[0]

    def is_idle(self):
        """Return whether everything was sent and, where it must be, accepted."""
        with self.lock:
            return not (self.queue or self.repeated or self.busy)

    def hold(self, is_held):
        """Hold up what is sent for the first time, or let it go on."""
        with self.lock:
            self.is_held = is_held

    def cut_short(self):
        """Send nothing about an order that was not begun. Returns the ids of the others."""
        with self.lock:
            self.is_held = False
            self.queue = [entry for entry in self.queue if entry[2].event.order_id in self.begun]
            heapq.heapify(self.queue)
            return set(self.begun)

    def take(self):
        """Return what is due next, or None."""
        with self.lock:
            now = time.monotonic()
            self.held_for += (now - self.looked) * self.is_held
            self.looked = now
            now -= self.started
            if self.repeated and self.repeated[0][0] <= now:
                queue = self.repeated
            elif self.queue and self.queue[0][0] <= now - self.held_for and not self.is_held:
                queue = self.queue
            else:
                return None
            self.busy += 1
            delivery = heapq.heappop(queue)[2]
            self.begun.add(delivery.event.order_id)
            return delivery

    def run(self):
        """Send what is due, one after the other."""
        while not self.over.wait(0.01):
            delivery = self.take()
            if delivery is None:
                continue
            try:
                self.send(delivery)
            except Exception as error:
                self.errors.append(error)
            with self.lock:
                self.busy -= 1

    def put(self, delivery, delay):
        """Send something after a delay."""
        with self.lock:
            self.number += 1
            at = time.monotonic() - self.started + delay
            heapq.heappush(self.repeated, (at, self.number, delivery))

    def post(self, event, headers):
        """Send an event. Returns the status, None for no answer, and what the answer says."""
        path = PATHS[event.provider]
        try:
            answer = post_webhook(
                self.base_url, event.body, path=path, headers=headers, timeout=PATIENCE
            )
        except (OSError, HTTPException):
            status, data = None, {}
        else:
            status, data = answer.status, answer.data
        with self.lock:
            self.answers[status] += 1
        return status, data

    def send(self, delivery):
        """Send a webhook, once more later if a provider would, and note what was answered."""
        event, clock = delivery.event, self.clock if delivery.event.provider == "timed" else 0
        if delivery.forgery:
            status, _ = self.post(event, FORGERIES[delivery.forgery](event))
            if status not in (401, None):
                self.blame(status, "a webhook %s" % delivery.forgery)
            return
        status, data = self.post(event, event.headers(clock))
        if clock and status not in (401, None):
            self.blame(status, "a webhook of a clock that is wrong by an hour")
        elif not clock and status == 200:
            self.accept(delivery, data)
            return
        elif not clock and status not in (503, None):
            self.blame(status, "a genuine webhook")
        self.put(delivery, self.random.uniform(0.2, 2))

    def accept(self, delivery, data):
        """Note that an event was accepted, and sometimes say something else under its id."""
        event, answer = delivery.event, data.get("status")
        if data.get("event_id") != event.event_id or answer not in ("accepted", "duplicate"):
            self.blame(data, "a genuine webhook")
        elif delivery.contradicts and answer != "duplicate":
            self.blame(answer, "a second event of the same id")
        with self.lock:
            self.accepted[event.key][answer] += 1
        if not delivery.contradicts and self.random.random() < 0.05:
            self.put(Delivery(0, event.contradicted(), contradicts=True), self.random.uniform(0, 2))

    def blame(self, answer, what):
        """Note an answer that should not be."""
        with self.lock:
            self.mistakes["%s was answered %s" % (what, answer)] += 1
