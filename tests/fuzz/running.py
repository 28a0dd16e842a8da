"""The one assertion of all fuzzing: whatever a strategy draws, the worker's judgement is no fault."""

from typing import Any

from fuzz.strategies import fuzzed
from fuzz.verdicts import is_fault
from fuzz.worker import Worker
from hypothesis import given
from hypothesis.strategies import SearchStrategy


def assert_no_fault(plans: SearchStrategy[Any], worker: Worker, examples: int) -> None:
    """Ask about so many plans, or in a long run as many as it says; the smallest with a fault is shown."""

    @fuzzed(examples)
    @given(plans)
    def ask(plan: Any) -> None:
        judgement = worker.ask(plan)
        assert not is_fault(judgement), f"{plan}\n{judgement}"

    ask()
