"""Which states a backward pass keeps when its memory is short, and what that costs: checkpointing, in numbers alone.

T steps are cut into segments. Of the states between segments some are kept; the others are computed again from the
last one kept before them when the backward pass, which meets the segments from the last to the first, needs them.
With all of them kept every step is run once more ("one level"). With fewer the schedule is "revolve", Griewank &
Walther 2000, ACM Trans. Math. Softw. 26 (1), algorithm 799: no other makes do with less.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from typing import TypeVar

from throughtime.errors import ArgumentError
from throughtime.gradients.budget import in_words

State = TypeVar("State")

GENEROUS = 3
"""Without a budget: this many times the least bytes that one level can do with, for longer and so fewer segments."""


@dataclass(frozen=True)
class Plan:
    """A backward pass in little memory, as it will be.

    Attributes:
        steps: T.
        segment_steps: steps of a segment; the last one may have fewer.
        slots: how many states between segments are kept at once, beside the initial one, which is the caller's.
        state_bytes: of one such state.
        step_bytes: of what the backward pass needs of one step, while it is in that step's segment.
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
        """How many segments there are; with a single one nothing is run again."""
        return max(1, -(-self.steps // self.segment_steps))

    @property
    def levels(self) -> int:
        """How often a step is run again at most: 1 where all states between segments are kept."""
        return repetitions(self.segments, self.slots)

    @property
    def bytes(self) -> int:
        """At most this much is held at once: the states that are kept, and the segment that is gone back through.

        The state that enters that segment is one more, unless it is among those that are kept.
        """
        states = min(self.slots + 1, self.segments - 1)
        return states * self.state_bytes + min(self.steps, self.segment_steps) * self.step_bytes

    @property
    def bytes_without(self) -> int:
        """What plain backpropagation through time holds."""
        return self.steps * self.step_bytes

    @property
    def evaluations(self) -> int:
        """How many steps are run forwards in all, from the first pass to the last segment's second run."""
        if self.segments == 1:
            return self.steps
        last = self.steps - (self.segments - 1) * self.segment_steps
        # No advance goes through the last segment: that is the one that the backward pass begins with.
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
    """How often any of l segments is run again, with s = slots + 1 states: the least r for which C(s + r, s) ≥ l."""
    if slots == 0:
        return segments - 1
    r = reach = 1
    while (reach := reach * (slots + 1 + r) // r) < segments:
        r += 1
    return r if segments > 1 else 0


def advances(segments: int, slots: int) -> int:
    """How many segments are run through, keeping states only, to go back through all of them: r l - C(s + r, s + 1).

    The last run of a segment, which is gone back through at once, is not counted. `slots` states are kept at once,
    beside the first: s = slots + 1.
    """
    r = repetitions(segments, slots)
    return r * segments - comb(slots + 1 + r, slots + 2)


def kept_states(segments: int, slots: int) -> list[int]:
    """Before which segments the state is to be kept, on the way from the first of them to the last."""
    kept, at = [], 0
    while slots and segments - at > 1:
        r, left = repetitions(segments - at, slots), segments - at
        at += min(comb(slots + r, slots + 1), left - comb(slots + r - 1, slots))
        slots -= 1
        kept.append(at)
    return kept


def kept_to_the_end(segments: int, slots: int) -> list[int]:
    """The same after a pass that ran to the end: with the state that enters the last segment, which is needed first."""
    kept = kept_states(segments, slots)
    return kept if segments - 1 in kept else [*kept, segments - 1]


def go_back(
    segments: int,
    slots: int,
    states: dict[int, State],
    advance: Callable[[int, State], State],
    pull: Callable[[int, State], None],
) -> None:
    """Meet all segments from the last to the first, each with the state that enters it.

    Args:
        segments, slots: as in `Plan`.
        states: the states that are there already, by the segment that they enter; at least that of segment 0. Used up.
        advance: (segment, the state that enters it) → the state that leaves it.
        pull: called with each segment and the state that enters it.
    """
    for segment in reversed(range(segments)):
        at = max(states)
        free = slots - (len(states) - 1)
        keep = {at + index for index in kept_states(segment + 1 - at, free)} - {segment}  # its own is used at once
        state = states[at] if at < segment else states.pop(at)
        for passed in range(at, segment):
            state = advance(passed, state)
            if passed + 1 in keep:
                states[passed + 1] = state
        pull(segment, state)


def _segment_lengths(steps: int) -> Iterator[int]:
    """The lengths to choose from, longest first: of those that give one number of segments the shortest."""
    length = max(1, steps)
    while length:
        yield length
        length = min(length - 1, -(-steps // (-(-steps // length) + 1)))


@lru_cache(maxsize=256)
def plan_for(steps: int, state_bytes: int, step_bytes: int, budget: int | None, runs_on: bool = True) -> Plan:
    """The plan that runs the fewest steps within `budget` bytes; without one, that of a few segments in few bytes.

    Raises:
        ArgumentError: where no plan keeps within the budget; it says which budget is the least, and which is the
            least that one level can do with.
    """

    def plan(length: int, slots: int) -> Plan:
        return Plan(steps, length, slots, state_bytes, step_bytes, runs_on)

    one_level = [plan(length, max(1, -(-steps // length)) - 1) for length in _segment_lengths(steps)]
    least = min(one.bytes for one in one_level)
    if budget is None:
        return next(one for one in one_level if one.bytes <= GENEROUS * least)
    slots_left = [(budget - one.segment_steps * step_bytes) // max(1, state_bytes) - 1 for one in one_level]
    fitting = [
        one if one.bytes <= budget else plan(one.segment_steps, slots)
        for one, slots in zip(one_level, slots_left, strict=True)
        if slots >= 0 or one.bytes <= budget
    ]
    if not fitting:
        fewest = min(plan(1, 0).bytes, least)
        raise ArgumentError(
            f"memory is {in_words(budget)}; the least that works is {fewest} bytes ({in_words(fewest)}), one step at a "
            f"time and all before it run again for each; with {in_words(least)} or more every step is run only once "
            "more"
        )
    return min(fitting, key=lambda one: one.evaluations)
