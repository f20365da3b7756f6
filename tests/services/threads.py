"""Threads for tests: at once, or in turns. Each has a database connection of its own."""

import threading

from django.db import connection, connections

# Seconds, longer than any thread may take: who waits so long has found a thread that hangs.
PATIENCE = 300


class Thread(threading.Thread):
    """A function in a thread. Its connection is open before it starts, and closed at the end."""

    def __init__(self, function, ready=None):
        super().__init__(daemon=True)
        self.function, self.ready = function, ready
        self.result = self.error = None
        self.start()

    def run(self):
        """Call the function, and keep what it returns or raises."""
        try:
            connection.ensure_connection()
            if self.ready:
                self.ready.wait(PATIENCE)
            self.result = self.function()
        except BaseException as error:
            self.error = error
        finally:
            connections.close_all()

    def finish(self, seconds=PATIENCE):
        """Return what the function returned, or raise what it raised."""
        self.join(seconds)
        assert not self.is_alive(), "the thread hangs"
        if self.error:
            raise self.error
        return self.result


def together(*functions):
    """Call functions at the same instant, each in a thread. Returns what they returned; raises what
    one raised.
    """
    ready = threading.Barrier(len(functions))
    threads = [Thread(function, ready) for function in functions]
    return [thread.finish() for thread in threads]


class Player(Thread):
    """A thread that plays rounds, a function each, step by step."""

    def __init__(self, turns, functions):
        self.turns, self.functions, self.done = turns, functions, 0
        super().__init__(self.play)

    def play(self):
        """Call the functions; each begins with a turn."""
        try:
            for function in self.functions:
                self.turns.step(is_first=True)
                function()
                self.finish_rounds(self.done + 1)
        finally:
            self.finish_rounds(len(self.functions))

    def finish_rounds(self, count):
        """Tell how many rounds are over."""
        with self.turns.changed:
            self.done = count
            self.turns.changed.notify_all()


class Turns:
    """Lets threads go on in a given order. Each calls :meth:`step` before every step of its own.

    A step that does not end within ``patience`` (in seconds) waits for a lock of another thread:
    the next may begin.
    """

    def __init__(self, patience):
        self.patience = patience
        self.changed = threading.Condition()
        self.waiting, self.turn, self.is_free = set(), None, False

    def step(self, is_first=False):
        """Wait for a turn if this is a player."""
        player = threading.current_thread()
        if isinstance(player, Player):
            with self.changed:
                self.waiting.add(player)
                self.changed.notify_all()
                self.changed.wait_for(
                    lambda: self.turn is player or self.is_free and not is_first, PATIENCE
                )
                self.waiting.discard(player)
                self.turn = None
                self.changed.notify_all()

    def play(self, number, schedule):
        """Give the players their turns in a round, in this order; then let all of them run to the
        round's end.
        """
        with self.changed:
            for player in schedule:
                if self.is_settled(player) and player.done == number:
                    self.turn = player
                    self.changed.notify_all()
                    self.changed.wait_for(lambda: self.turn is None, PATIENCE)
                    self.is_settled(player)
            self.is_free = True
            for player in set(schedule):
                while player.done == number:
                    self.turn = player if player in self.waiting else None
                    self.changed.notify_all()
                    assert self.changed.wait(PATIENCE), "a player hangs"
            self.is_free = False

    def is_settled(self, player):
        """Wait until a player waits for a turn or has no more rounds. Returns whether it came to
        that.
        """
        return self.changed.wait_for(
            lambda: player in self.waiting or player.done == len(player.functions), self.patience
        )
