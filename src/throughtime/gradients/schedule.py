"""Checkpointing schedules: the states that a backward pass keeps, and the cost.

T steps are cut into segments. Some of the states between segments are kept. The backward pass meets the segments from
the last to the first, and computes the other states again, each from the last state kept before. With all states kept
every step is run once more ("one level"). With fewer the schedule is "revolve", Griewank & Walther 2000, ACM Trans.
Math. Softw. 26 (1), algorithm 799: no other schedule runs fewer steps. This module computes with numbers alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import TypeVar

from throughtime.errors import ArgumentError
from throughtime.gradients.budget import in_words

Held = TypeVar("Held")
"""Type of the states; this module only passes them on."""

GENEROUS = 3
"""Limit on a plan without a budget.

The plan may take this multiple of the least bytes that a plan of one level needs; more bytes allow longer and so fewer
segments.
"""


@dataclass(frozen=True)
class Plan:
    """Plan of a backward pass in little memory.

    Attributes:
        steps: T.
        segment_steps: steps of a segment; the last segment may have fewer.
        slots: number of states between segments that are kept at once, beside the initial state, which is the caller's.
        state_bytes: bytes of a kept state.
        step_bytes: bytes that the backward pass needs of a step, while it is in that step's segment.
        runs_on: whether the forward pass goes on to the end of the last segment before the backward pass begins.
    """

    steps: int
    segment_steps: int
    slots: int
    state_bytes: int
    step_bytes: int
    runs_on: bool = True

    @property
    def segments(self) -> int:
        """Number of segments; with a single segment nothing is run again."""
        return max(1, -(-self.steps // self.segment_steps))

    @property
    def levels(self) -> int:
        """Largest number of times that a step is run again.

        It is 1 where all states between segments are kept.
        """
        return repetitions(self.segments, self.slots)

    @property
    def bytes(self) -> int:
        """Largest number of bytes held at once, by the kept states and a segment.

        The segment is the segment that the backward pass is in; the state that enters it counts too, unless it is among
        the kept states.
        """
        states = min(self.slots + 1, self.segments - 1)
        return states * self.state_bytes + min(self.steps, self.segment_steps) * self.step_bytes

    @property
    def bytes_without(self) -> int:
        """Bytes that plain backpropagation through time holds."""
        return self.steps * self.step_bytes

    @property
    def evaluations(self) -> int:
        """Number of steps that run forwards, the first pass and all repetitions together."""
        if self.segments == 1:
            return self.steps
        last = self.steps - (self.segments - 1) * self.segment_steps
        # No advance goes through the last segment, because the backward pass begins with that segment.
        return self.segment_steps * advances(self.segments, self.slots) + self.steps + (last if self.runs_on else 0)

    def __str__(self) -> str:
        if self.segments == 1:
            return f"{self.steps} steps in one segment: {in_words(self.bytes)}, no step is run again"
        more = (self.evaluations - self.steps) / self.steps
        kept = "" if self.levels == 1 else f", {self.slots} states kept, up to {self.levels} runs of a step"
        return (
            f"{self.steps} steps in {self.segments} segments of {self.segment_steps}{kept}: {in_words(self.bytes)} "
            f"instead of {in_words(self.bytes_without)}, about {more:.2f} forward passes more"
        )


def repetitions(segments: int, slots: int) -> int:
    """Return the largest number of times that any segment is run again.

    With s = slots + 1 states it is the least r for which C(s + r, s) ≥ `segments`.
    """
    if slots == 0:
        return segments - 1
    r = reach = 1  # reach becomes C(s + r, s) for r = 1, 2, …
    while (reach := reach * (slots + 1 + r) // r) < segments:
        r += 1
    return r if segments > 1 else 0


def advances(segments: int, slots: int) -> int:
    """Count the runs of segments that keep only states, on the whole way back.

    There are r · segments - C(s + r, s + 1) such runs, with s = slots + 1 and r the `repetitions`. The last run of a
    segment is not counted: the backward pass goes back through that run at once.
    """
    r = repetitions(segments, slots)
    return r * segments - comb(slots + 1 + r, slots + 2)


def kept_states(segments: int, slots: int) -> list[int]:
    """List the segments whose entering state is kept on the way to the last."""
    kept, at = [], 0
    while slots and segments - at > 1:
        left = segments - at
        r = repetitions(left, slots)
        # With s = slots + 1. The segments up to `at` run once now, and may run again r - 1 times later: C(s + r - 1, s)
        # segments at most can do with that. At least C(s + r - 2, s - 1) segments must remain behind `at`: so many can
        # s - 1 states serve with r - 1 repetitions, and fewer would leave these states unused.
        at += min(comb(slots + r, slots + 1), left - comb(slots + r - 1, slots))
        slots -= 1
        kept.append(at)
    return kept


def kept_to_the_end(segments: int, slots: int) -> list[int]:
    """List the segments whose entering state is kept by a complete pass.

    The last segment is among these, because its entering state is needed first.
    """
    kept = kept_states(segments, slots)
    return kept if segments - 1 in kept else [*kept, segments - 1]


def go_back(
    segments: int,
    slots: int,
    states: dict[int, Held],
    advance: Callable[[int, Held, bool], Held],
    pull: Callable[[int, Held], None],
) -> None:
    """Visit all segments from the last to the first, each with its entering state.

    Args:
        segments, slots: as in `Plan`.
        states: the states that are kept already, by the segment that they enter, at least the state of segment 0. The
            function empties this dict.
        advance: (segment, the state that enters the segment, whether that state is not kept and so needed for the last
            time) → the state that leaves the segment.
        pull: called with each segment and the state that enters the segment.
    """
    for segment in reversed(range(segments)):
        at = max(states)
        free = slots - (len(states) - 1)
        # The state that enters `segment` itself is not kept: it is used at once.
        keep = {at + index for index in kept_states(segment + 1 - at, free)} - {segment}
        state = states[at] if at < segment else states.pop(at)
        for passed in range(at, segment):
            state = advance(passed, state, passed not in states)
            if passed + 1 in keep:
                states[passed + 1] = state
        pull(segment, state)


def _segment_lengths(steps: int) -> Iterator[int]:
    """Iterate over the lengths of segments to choose from, longest first.

    Of all lengths that give the same number of segments only the shortest is worth trying.
    """
    length = max(1, steps)
    while length:
        yield length
        length = min(length - 1, -(-steps // (-(-steps // length) + 1)))


@lru_cache(maxsize=256)
def plan_for(steps: int, state_bytes: int, step_bytes: int, budget: int | None, runs_on: bool = True) -> Plan:
    """Choose the plan that runs the fewest steps within a budget.

    Args:
        steps: T.
        state_bytes, step_bytes, runs_on: see `Plan`.
        budget: the most bytes; None for a plan with few segments in few bytes, see `GENEROUS`.

    Raises:
        ArgumentError: no plan keeps within the budget; the message has the least budget, and the least budget for a
            plan of one level.
    """

    def plan(length: int, slots: int) -> Plan:
        return Plan(steps, length, slots, state_bytes, step_bytes, runs_on)

    one_level = [plan(length, max(1, -(-steps // length)) - 1) for length in _segment_lengths(steps)]
    least = min(candidate.bytes for candidate in one_level)
    if budget is None:
        return next(candidate for candidate in one_level if candidate.bytes <= GENEROUS * least)
    fitting = []
    for candidate in one_level:
        # Where not all states between segments fit, keep as many as the budget leaves beside a segment.
        slots = (budget - candidate.segment_steps * step_bytes) // max(1, state_bytes) - 1
        if candidate.bytes <= budget:
            fitting.append(candidate)
        elif slots >= 0:
            fitting.append(plan(candidate.segment_steps, slots))
    if not fitting:
        fewest = min(plan(1, 0).bytes, least)
        raise ArgumentError(
            "memory",
            f"is {in_words(budget)}",
            f"the least that works is {fewest} bytes ({in_words(fewest)}), one step at a time and all before it run "
            "again for each",
            f"with {in_words(least)} or more every step is run only once more",
        )
    return min(fitting, key=lambda candidate: candidate.evaluations)
