"""Where everything of the admin's two drawings is, in pixels. The templates draw it, as SVG."""

from typing import Any, Dict, List

from ..models import Event
from .timeline import Step

COLUMN, ROW, LEFT, TOP = 66, 60, 170, 30
BAR_HEIGHT, BAR_WIDTH, BAR_SPACE = 160, 22, 28
STATUSES = tuple(Event.TRANSITIONS)


def draw_timeline(steps: List[Step], current: Event) -> Dict[str, Any]:
    """Return a lane for each event and a column for each step.

    Columns are not to the scale of time: the steps of a second and those of three days must both be
    seen.
    """
    lanes: Dict[int, Dict[str, Any]] = {}
    for step in steps:
        y = TOP + len(lanes) * ROW + ROW // 2
        lanes.setdefault(
            step.event.pk, {"event": step.event, "y": y, "is_current": step.event.pk == current.pk}
        )
    marks: List[Dict[str, Any]] = []
    for number, step in enumerate(steps):
        lane, x = lanes[step.event.pk], LEFT + number * COLUMN + COLUMN // 2
        other = lanes.get(step.other.pk) if step.other else None
        marks.append(
            {"step": step, "x": x, "y": lane["y"], "from_y": other["y"] if other else None}
        )
        lane["start"], lane["end"] = lane.get("start", x), x
    size = {"width": LEFT + len(steps) * COLUMN + 10, "height": TOP + len(lanes) * ROW + 10}
    return dict(size, lanes=list(lanes.values()), marks=marks)


def draw_hours(hours: List[Dict[str, Any]]) -> Dict[str, Any]:
    """Return a bar for each hour, made of a part for each status that its events have now."""
    most = max([hour["received"] for hour in hours] + [1])
    bars = []
    for number, hour in enumerate(hours):
        parts, y = [], float(TOP + BAR_HEIGHT)
        for status in STATUSES:
            height = BAR_HEIGHT * hour["statuses"].get(status, 0) / most
            y -= height
            parts.append({"status": status, "y": round(y, 1), "height": round(height, 1)})
        x = LEFT // 4 + number * BAR_SPACE
        bars.append(
            {
                "hour": hour,
                "x": x,
                "parts": [part for part in parts if part["height"]],
                "is_labelled": not number % 3,
            }
        )
    size = {"width": LEFT // 4 + len(hours) * BAR_SPACE + 10, "height": TOP + BAR_HEIGHT + 30}
    return dict(
        size,
        bars=bars,
        most=most,
        statuses=STATUSES,
        bottom=TOP + BAR_HEIGHT,
        top=TOP,
        left=LEFT // 4,
        bar_width=BAR_WIDTH,
    )
