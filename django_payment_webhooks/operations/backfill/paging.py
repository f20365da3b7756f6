"""Fetches the pages of a list politely: at a bounded rate, with retries after passing errors."""

from __future__ import annotations

import random
import re
from collections import OrderedDict
from time import monotonic, sleep
from typing import Any, Callable, Iterator, NamedTuple

from celery.exceptions import SoftTimeLimitExceeded

from ...retrying import describe, find_response, find_retry_after, is_rejected
from .sources import Page, SourceError

# Pages per second.
RATE = 2.0
# How often a page is tried, with pauses of 1, 2, 4 and so on seconds in between.
MAX_TRIES = 8
LONGEST_BACKOFF = 60
# If a provider asks for a longer pause than this, the next command tries again.
LONGEST_PAUSE = 600
# The parameters of a URL.
PARAMETERS = re.compile(r"\?[^\s'\")]+")
# How many items are remembered, so that an item on two pages counts once.
MAX_RECENT = 10000


class Step(NamedTuple):
    """The progress to show: how much is done, or the reason for a pause.

    ``share`` is between 0 and 1, or None if unknown; ``note`` is "" except in a pause.
    """

    checked: int
    share: float | None = None
    note: str = ""


Watch = Callable[[Step], Any]


def look_away(step: Step) -> None:
    """Show nothing."""


class Pace:
    """Fetches pages, at most ``rate`` per second, and retries where that can help."""

    def __init__(self, rate: float = RATE, watch: Watch = look_away) -> None:
        self.interval = 1 / rate
        self.watch = watch
        self.next_at = 0.0
        self.checked = 0

    def read_pages(self, fetch: Callable[[str], Page], cursor: str = "") -> Iterator[Page]:
        """Yield the pages of a list from a cursor on. Raises ``SourceError``."""
        while True:
            page = self.fetch(fetch, cursor)
            yield page
            if not page.next_cursor:
                return
            if page.next_cursor == cursor:
                raise SourceError(
                    "The source's next_cursor is the cursor it was given: it would read the same "
                    "page for ever."
                )
            cursor = page.next_cursor

    def fetch(self, fetch: Callable[[str], Page], cursor: str) -> Page:
        """Return a page. Raises ``SourceError`` if it can't be fetched now, or at all."""
        for number in range(1, MAX_TRIES + 1):
            self.wait_for_turn()
            try:
                return check_page(fetch(cursor))
            except (SourceError, SoftTimeLimitExceeded):
                raise
            except Exception as error:
                self.pause(error, number)
        raise AssertionError("The last pause raises.")

    def wait_for_turn(self) -> None:
        """Wait until the next page may be fetched."""
        sleep(max(self.next_at - monotonic(), 0))
        self.next_at = monotonic() + self.interval

    def pause(self, error: Exception, number: int) -> None:
        """Wait before a page is fetched again. Raises ``SourceError`` if a retry is pointless."""
        problem = describe_problem(error)
        if is_rejected(error):
            raise SourceError(
                f"The provider refuses to list it: {problem}. Check the source's credentials and "
                f"parameters."
            ) from error
        if number == MAX_TRIES:
            raise SourceError(f"{MAX_TRIES} tries failed, the last with {problem}.") from error
        backoff = min(2 ** (number - 1), LONGEST_BACKOFF)
        asked = find_retry_after(error)
        if asked > LONGEST_PAUSE:
            raise SourceError(f"The provider asks to wait for {asked:.0f} seconds.") from error
        delay = max(random.uniform(backoff / 2, backoff), asked)
        note = f"{problem}. Trying again in {delay:.0f} s ({number} of {MAX_TRIES} failed)."
        self.watch(Step(self.checked, note=note))
        sleep(delay)


def describe_problem(error: Exception) -> str:
    """Return why a page was not fetched, without the URL's parameters, which may include a key."""
    status = find_response(error, "status_code")
    if isinstance(status, int):
        return f"{type(error).__name__}, status {status}"
    return PARAMETERS.sub("?...", describe(error))


def check_page(page: Any) -> Page:
    """Return a source's page. Raises ``SourceError`` if it is not a ``Page``."""
    if not isinstance(page, Page):
        raise SourceError(f"The source returned {type(page).__name__} in place of a Page.")
    if not isinstance(page.next_cursor, str):
        raise SourceError("The source's next_cursor is no text.")
    return page


class Recent:
    """The keys of a bounded number of recent items, as lists repeat items across pages."""

    def __init__(self) -> None:
        self.keys: OrderedDict[str, None] = OrderedDict()

    def add(self, key: str) -> bool:
        """Remember a key, and return whether it is new."""
        if key in self.keys:
            return False
        self.keys[key] = None
        if len(self.keys) > MAX_RECENT:
            self.keys.popitem(last=False)
        return True
