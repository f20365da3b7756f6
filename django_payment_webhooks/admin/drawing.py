"""Where everything of the admin's two drawings is, in pixels. The templates draw it, as SVG."""

from __future__ import annotations

from typing import NamedTuple, Sequence

from django.utils.translation import gettext

from ..history.timeline import Step
from ..models import Event
from ..monitoring.labels import find_label
from ..monitoring.overview import Hour
from ..providers.escaping import reveal

COLUMN, ROW, LEFT, TOP = 66, 60, 170, 30
MARGIN = 10
# How wide a letter of a label is: in some languages they are long.
LETTER = 8
BAR_HEIGHT, BAR_WIDTH, BAR_SPACE, BAR_LEFT = 160, 22, 28, 42
STATUSES = tuple(Event.TRANSITIONS)
# Every which bar has its hour written below it.
LABELLED = 3


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
    """A step of an event on its line, and whose line it is connected with."""

    step: Step
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
    """What was received in an hour."""

    hour: Hour
    x: int
    parts: list[Part]
    is_labelled: bool


class Plot(NamedTuple):
    """A bar for each hour. ``most`` is how many events the highest stands for."""

    width: int
    height: int
    bars: list[Bar]
    most: int
    statuses: Sequence[str] = STATUSES
    top: int = TOP
    bottom: int = TOP + BAR_HEIGHT
    left: int = BAR_LEFT
    bar_width: int = BAR_WIDTH


def draw_timeline(steps: Sequence[Step], current: Event) -> Timeline:
    """Return where each event and each step is.

    Columns are not to the scale of time: the steps of a second and those of three days must both be
    seen.
    """
    column = max([COLUMN, *(LETTER * len(find_label(step.verb)) for step in steps)])
    columns = [LEFT + number * column + column // 2 for number in range(len(steps))]
    keys = list(dict.fromkeys(step.event.pk for step in steps))
    rows = {key: TOP + number * ROW + ROW // 2 for number, key in enumerate(keys)}
    marks = []
    for step, x in zip(steps, columns):
        from_y = rows.get(step.other.pk) if step.other else None
        marks.append(Mark(step, x, rows[step.event.pk], from_y))
    return Timeline(
        width=LEFT + len(steps) * column + MARGIN,
        height=TOP + len(keys) * ROW + MARGIN,
        lanes=[draw_lane(key, marks, current) for key in keys],
        marks=marks,
    )


def draw_lane(key: int, marks: Sequence[Mark], current: Event) -> Lane:
    """Return the line of an event, from its first mark to its last."""
    own = [mark for mark in marks if mark.step.event.pk == key]
    event = own[0].step.event
    names = reveal(event.type) or gettext("unparsed"), reveal(event.provider_event_id)
    return Lane(event, *names, own[0].y, key == current.pk, own[0].x, own[-1].x)


def draw_hours(hours: Sequence[Hour]) -> Plot:
    """Return a bar for each hour, made of a part for each status that its events have now."""
    most = max([1, *(hour.received for hour in hours)])
    bars = []
    for number, hour in enumerate(hours):
        x = BAR_LEFT + number * BAR_SPACE
        bars.append(Bar(hour, x, draw_parts(hour, most), number % LABELLED == 0))
    width = BAR_LEFT + len(hours) * BAR_SPACE + MARGIN
    return Plot(width, TOP + BAR_HEIGHT + 30, bars, most)


def draw_parts(hour: Hour, most: int) -> list[Part]:
    """Return the parts of a bar, from its foot to its top."""
    parts = []
    y = float(TOP + BAR_HEIGHT)
    for status in STATUSES:
        height = BAR_HEIGHT * hour.statuses.get(status, 0) / most
        y -= height
        if height:
            parts.append(Part(status, round(y, 1), round(height, 1)))
    return parts
