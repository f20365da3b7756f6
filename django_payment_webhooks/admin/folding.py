"""Steps that repeat each other, folded into one: 39 retries are one thing to know, not 39."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple, Sequence

from ..history.timeline import Step

# As many steps in a row, and more, are folded.
MIN_FOLDED = 3


class Fold(NamedTuple):
    """A step; of those that are folded the last, with all of them, the oldest first."""

    step: Step
    folded: Sequence[Step] = ()


def fold_steps(steps: Sequence[Step]) -> list[Fold]:
    """Return steps in their order: where an event repeats a step, only the last one.

    Steps of other events in between do not matter: each event repeats its own.
    """
    folds = []
    for key in dict.fromkeys(step.event.pk for step in steps):
        own = [step for step in steps if step.event.pk == key]
        for _, run in groupby(own, key=lambda step: step.verb):
            folds += fold_run(list(run))
    order = {id(step): number for number, step in enumerate(steps)}
    return sorted(folds, key=lambda fold: order[id(fold.step)])


def fold_run(run: Sequence[Step]) -> list[Fold]:
    """Return what is shown of steps with the same verb, one after the other."""
    if len(run) < MIN_FOLDED:
        return [Fold(step) for step in run]
    return [Fold(run[-1], run)]
