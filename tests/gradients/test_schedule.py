"""The schedule against dynamic programming over all schedules, and its predictions against what is really run."""

from functools import cache

import pytest

from throughtime.errors import ArgumentError
from throughtime.gradients.schedule import Plan, advances, go_back, kept_to_the_end, plan_for


@cache
def _least(segments: int, slots: int) -> int:
    """By trying every segment before which the next state could be kept: Griewank & Walther's recursion."""
    if segments == 1:
        return 0
    if slots == 0:
        return segments * (segments - 1) // 2
    splits = range(1, segments)
    return min(at + _least(segments - at, slots - 1) + _least(at, slots) for at in splits)


class _Chain:
    """Segments that do nothing but check who enters them, and count."""

    def __init__(self, segments: int, slots: int):
        self.segments, self.slots, self.advanced, self.met, self.most = segments, slots, 0, [], 0
        self.states: dict[int, int] = {0: 0}

    def advance(self, segment: int, state: int, last_use: bool) -> int:
        assert state == segment and last_use == (segment not in self.states)
        self.advanced += 1
        return state + 1

    def pull(self, segment: int, state: int) -> None:
        assert state == segment
        self.met.append(segment)
        # The state that enters is held, whether it is kept or not; the first one is the caller's.
        self.most = max(self.most, len((set(self.states) | {segment}) - {0}))

    def run(self) -> "_Chain":
        go_back(self.segments, self.slots, self.states, self.advance, self.pull)
        return self


@pytest.mark.parametrize("slots", range(7))
@pytest.mark.parametrize("segments", [1, 2, 3, 5, 6, 11, 20, 37])
def test_no_schedule_runs_fewer_segments(segments, slots):
    chain = _Chain(segments, slots).run()
    assert chain.met == list(reversed(range(segments)))
    assert chain.advanced == advances(segments, slots) == _least(segments, slots)


@pytest.mark.parametrize("slots", range(1, 7))
@pytest.mark.parametrize("segments", [2, 5, 11, 37])
def test_never_more_states_than_there_is_room_for(segments, slots):
    assert _Chain(segments, slots).run().most == min(slots + 1, segments - 1)


def test_a_chain_that_was_run_already_goes_on_from_the_states_it_kept():
    whole, resumed = _Chain(37, 4).run(), _Chain(37, 4)
    resumed.states |= {segment: segment for segment in kept_to_the_end(37, 4)}
    resumed.run()
    assert resumed.met == whole.met
    assert whole.advanced - resumed.advanced == 36


@pytest.mark.parametrize("runs_on", [True, False])
@pytest.mark.parametrize(("steps", "length", "slots"), [(7, 3, 1), (7, 2, 3), (23, 4, 2), (24, 4, 5), (5, 5, 0)])
def test_a_plan_counts_every_step_that_is_run(steps, length, slots, runs_on):
    plan = Plan(steps, length, slots, 10, 100, runs_on)
    chain = _Chain(plan.segments, slots).run()
    last = steps - (plan.segments - 1) * length
    on = last if runs_on and plan.segments > 1 else 0
    assert plan.evaluations == chain.advanced * length + steps + on
    assert plan.bytes == chain.most * 10 + length * 100


@pytest.mark.parametrize("budget", [130, 150, 390, 520, 700, 1040, 2299, 2300, 10**6])
def test_the_plan_for_a_budget_is_the_best_of_all(budget):
    steps, state_bytes, step_bytes = 23, 30, 100
    every = [
        Plan(steps, length, slots, state_bytes, step_bytes)
        for length in range(1, steps + 1)
        for slots in range(-(-steps // length))
    ]
    least = min(one.evaluations for one in every if one.bytes <= budget)
    plan = plan_for(steps, state_bytes, step_bytes, budget)
    assert plan.bytes <= budget and plan.evaluations == least


def test_a_budget_for_everything_runs_nothing_again():
    plan = plan_for(23, 30, 100, 2300)
    assert (plan.segments, plan.evaluations, plan.levels) == (1, 23, 0)
    assert str(plan) == "23 steps in one segment: 2.3 kB, no step is run again"


def test_without_a_budget_one_level_in_little_memory():
    plan = plan_for(1000, 100, 600, None)
    least = min((-(-1000 // length) - 1) * 100 + length * 600 for length in range(1, 1001))
    assert plan.levels == 1 and plan.evaluations == 2000
    assert plan.bytes <= 3 * least
    longer = Plan(1000, -(-1000 // (plan.segments - 1)), plan.segments - 2, 100, 600)
    assert longer.bytes > 3 * least, "fewer segments would do"


def test_a_budget_too_small_for_every_plan_is_refused_with_the_least_that_works():
    expected = r"memory is 129 B; the least that works is 130 bytes \(130 B\).*with 510 B or more every step"
    with pytest.raises(ArgumentError, match=expected):
        plan_for(23, 30, 100, 129)
    assert plan_for(23, 30, 100, 130).bytes == 130
    assert plan_for(23, 30, 100, 509).levels > plan_for(23, 30, 100, 510).levels == 1


def test_a_plan_in_words():
    assert str(Plan(1000, 25, 39, 8192, 60000)) == (
        "1000 steps in 40 segments of 25: 1.82 MB instead of 60 MB, about 1.00 forward passes more"
    )
    assert str(Plan(1000, 25, 5, 8192, 60000)) == (
        "1000 steps in 40 segments of 25, 5 states kept, up to 3 runs of a step: 1.55 MB instead of 60 MB, "
        "about 2.12 forward passes more"
    )


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_few_steps(steps):
    plan = plan_for(steps, 30, 100, None)
    assert plan.segments == 1 and plan.evaluations == steps
