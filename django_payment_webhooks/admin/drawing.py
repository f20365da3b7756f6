"""Where everything of the admin's two drawings is, in pixels. The templates draw it, as SVG."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import NamedTuple, Sequence

from django.utils.translation import gettext

from ..history.timeline import Step
from ..models import Event
from ..monitoring.labels import find_label
from ..monitoring.overview import Hour
from ..providers.escaping import reveal
from .folding import Fold

COLUMN, ROW, LEFT, TOP = 66, 60, 170, 30
MARGIN = 10
# How wide a letter of a label is: in some languages they are long.
LETTER = 8
BAR_HEIGHT, BAR_WIDTH, BAR_SPACE, BAR_LEFT = 160, 22, 28, 42
# How much room the time below the last bar needs.
LABEL_WIDTH = 50
STATUSES = tuple(Event.TRANSITIONS)
# How many bars are drawn at most, and how many hours one can stand for.
MAX_BARS = 28
SIZES = (1, 3, 6)
# Every which bar has its time written below it: by how many hours it stands for.
LABELLED = {1: 3, 3: 4, 6: 4}


class Lane(NamedTuple):
    """The line of an event, with its type and its id for reading."""

    event: Event
    type: str
    name: str
    y: int
    is_current: bool
    start: int
    end: int


class Mark(NamedTuple):
    """A step of an event on its line, and whose line it is connected with.

    ``number`` is how many steps it stands for.
    """

    step: Step
    number: int
    x: int
    y: int
    from_y: int | None


class Timeline(NamedTuple):
    """A lane for each event and a column for each step."""

    width: int
    height: int
    lanes: list[Lane]
    marks: list[Mark]


class Part(NamedTuple):
    """The part of a bar that stands for a status."""

    status: str
    y: float
    height: float


class Bar(NamedTuple):
    """What was received from one moment to another: how many events, and with which status now."""

    start: datetime
    end: datetime
    received: int
    statuses: dict[str, int]
    x: int
    parts: list[Part]
    is_labelled: bool


class Plot(NamedTuple):
    """A bar for each hour, or for ``hours`` of them. ``most`` events are what the highest is."""

    width: int
    height: int
    bars: list[Bar]
    most: int
    hours: int
    statuses: Sequence[str] = STATUSES
    top: int = TOP
    bottom: int = TOP + BAR_HEIGHT
    left: int = BAR_LEFT
    bar_width: int = BAR_WIDTH
    bar_height: int = BAR_HEIGHT


def draw_timeline(folds: Sequence[Fold], current: Event) -> Timeline:
    """Return where each event and each step is.

    Columns are not to the scale of time: the steps of a second and those of three days must both be
    seen.
    """
    letters = [len(find_label(fold.step.verb)) + (4 if fold.folded else 0) for fold in folds]
    column = max([COLUMN, *(LETTER * number for number in letters)])
    columns = [LEFT + number * column + column // 2 for number in range(len(folds))]
    keys = list(dict.fromkeys(fold.step.event.pk for fold in folds))
    rows = {key: TOP + number * ROW + ROW // 2 for number, key in enumerate(keys)}
    marks = []
    for (step, folded), x in zip(folds, columns):
        from_y = rows.get(step.other.pk) if step.other else None
        marks.append(Mark(step, len(folded) or 1, x, rows[step.event.pk], from_y))
    return Timeline(
        width=LEFT + len(folds) * column + MARGIN,
        height=TOP + len(keys) * ROW + MARGIN,
        lanes=[draw_lane(key, marks, current) for key in keys],
        marks=marks,
    )


def draw_lane(key: int, marks: Sequence[Mark], current: Event) -> Lane:
    """Return the line of an event, from its first mark to its last."""
    own = [mark for mark in marks if mark.step.event.pk == key]
    event = own[0].step.event
    names = reveal(event.type), reveal(event.provider_event_id)
    if not event.type:  # its id is a digest
        names = gettext("unparsed"), ""
    return Lane(event, *names, own[0].y, key == current.pk, own[0].x, own[-1].x)


def draw_hours(hours: Sequence[Hour]) -> Plot:
    """Return a bar for each hour, made of a part for each status that its events have now.

    If they are many, a bar stands for several hours.
    """
    size = next((size for size in SIZES if len(hours) <= size * MAX_BARS), SIZES[-1])
    groups = [hours[first : first + size] for first in range(0, len(hours), size)]
    counts = [count_statuses(group) for group in groups]
    most = max([1, *(sum(statuses.values()) for statuses in counts)])
    bars = []
    for number, (group, statuses) in enumerate(zip(groups, counts)):
        end = group[-1].start + timedelta(hours=1)
        x, parts = BAR_LEFT + number * BAR_SPACE, draw_parts(statuses, most)
        is_labelled = number % LABELLED[size] == 0
        received = sum(statuses.values())
        bars.append(Bar(group[0].start, end, received, statuses, x, parts, is_labelled))
    width = BAR_LEFT + len(bars) * BAR_SPACE + LABEL_WIDTH
    return Plot(width, TOP + BAR_HEIGHT + 30, bars, most, size)


def count_statuses(hours: Sequence[Hour]) -> dict[str, int]:
    """Return how many events of some hours have which status."""
    counts: Counter[str] = Counter()
    for hour in hours:
        counts.update(hour.statuses)
    return dict(counts)


def draw_parts(statuses: dict[str, int], most: int) -> list[Part]:
    """Return the parts of a bar, from its foot to its top."""
    parts = []
    y = float(TOP + BAR_HEIGHT)
    for status in STATUSES:
        height = BAR_HEIGHT * statuses.get(status, 0) / most
        y -= height
        if height:
            parts.append(Part(status, round(y, 1), round(height, 1)))
    return parts
