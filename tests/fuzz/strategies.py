"""Plans, as hypothesis draws them: usual sizes and options, and a few things that are unusual."""

import os
from typing import Any

from fuzz.forms import FORMS
from fuzz.layer_plans import EVENTS, KINDS, METHODS, MODES, LayerPlan
from fuzz.operator_plans import CELLS, LISTS, SCALARS, OperatorPlan
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

EXAMPLES = int(os.environ.get("THROUGHTIME_FUZZ_EXAMPLES", 0))
"""Examples of each test in a long run, as `make fuzz` sets it; 0 in the suite."""

WEIGHTS = tuple(f"weight {index}" for index in range(6))
PLACES = {
    "inputs": ("x", "h", "c", "hx"),
    "weights": WEIGHTS,
    "masks": ("lengths", "resets"),
    "packed": ("x", "batch_sizes", "sorted_indices", "unsorted_indices"),
    "cotangents": ("d outputs", "d final 0", "d final 1"),
    "between": ("x", "h", "c", "lengths", "resets", "batch_sizes", "outputs", "final 0", *WEIGHTS),
    "sizes": (),
}
"""Where something unusual stands, by area; between the passes it is an event."""


def fuzzed(examples: int) -> settings:
    """Settings of so many examples in the suite, the same at every run; in a long run of other ones at every run."""
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )


def _changes(places: tuple[str, ...], forms: Any) -> SearchStrategy:
    pairs = st.tuples(st.sampled_from(places), st.sampled_from(sorted(forms)))
    return st.lists(pairs, min_size=1, max_size=2).map(tuple)


SIZE = st.sampled_from([1, 2, 3, 5])
STEPS = st.sampled_from([1, 2, 3, 6, 0, 300])
ODD = st.sampled_from([0, 1, 2, 17, 33])


@st.composite
def sizes(draw: DrawFn, odd: bool = False) -> tuple[int, int, int, int]:
    steps = draw(STEPS)
    rows, features = (draw(ODD if odd and steps < 300 else SIZE) for _ in range(2))
    return steps, rows, features or 1, draw(st.sampled_from([5, 1, 16, 19]))


@st.composite
def layer_plans(draw: DrawFn, area: str) -> LayerPlan:
    """A plan with something unusual in an area of `PLACES`."""
    booleans = st.booleans()
    kind = draw(st.sampled_from(sorted(KINDS)))
    size = draw(sizes(area == "sizes"))
    steps, rows, features, hidden = size
    way = "packed" if area == "packed" else draw(st.sampled_from(["vectors", "indices", "unbatched", "packed"]))
    if way == "packed" and not (steps and rows and features):
        way = "vectors"
    masked = way != "unbatched" and (area == "masks" or draw(booleans))
    lengths = None
    if masked or way == "packed":
        least = st.integers(1 if way == "packed" else 0, steps)
        # What a narrow dtype would take for the number of steps, too.
        least |= st.just(steps % 256 or steps)
        lengths = tuple(draw(st.lists(least, min_size=rows, max_size=rows)))
    changes = () if area in ("between", "sizes") else draw(_changes(PLACES[area], FORMS))
    return LayerPlan(
        kind=kind,
        dtype=draw(st.sampled_from(["float32", "float64", "float16", "bfloat16"])),
        sizes=size,
        layers=draw(st.sampled_from([1, 2])),
        bias=draw(booleans),
        bidirectional=draw(booleans),
        batch_first=draw(booleans),
        proj_size=draw(st.sampled_from([0, 1, hidden - 1])) if kind == "LSTM" and hidden > 1 else 0,
        learned=draw(booleans) and draw(booleans),
        replica=draw(booleans) and draw(booleans),
        way=way,
        hx=draw(booleans),
        lengths=lengths,
        resets=draw(booleans) if area == "masks" else draw(booleans) and draw(booleans),
        method=draw(st.sampled_from(list(METHODS))),
        mode="train" if area in ("between", "cotangents") else draw(st.sampled_from(list(MODES))),
        device=draw(st.sampled_from(["cpu", "meta"])) if area == "sizes" else "cpu",
        changes=changes,
        events=draw(_changes(PLACES["between"], EVENTS)) if area == "between" else (),
        seed=draw(st.integers(0, 99)),
    )


@st.composite
def operator_plans(draw: DrawFn, backward: bool) -> OperatorPlan:
    """A plan with one to three changes of any arguments."""
    booleans = st.booleans()
    cell = draw(st.sampled_from(sorted(CELLS)))
    size = draw(sizes(draw(booleans)))
    steps, rows, _, hidden = size
    lengths = draw(st.none() | st.lists(st.integers(0, steps), min_size=rows, max_size=rows).map(tuple))
    tensors = ("x", "lengths", "resets", "batch_sizes", *(("d_outputs",) if backward else ()))
    lists = LISTS if backward else LISTS[:3]
    of_lists = st.builds(lambda name, index: f"{name} {index}", st.sampled_from(lists), st.integers(0, 3))
    forms = st.sampled_from(sorted(FORMS))
    change = st.one_of(
        st.tuples(st.sampled_from(tensors), forms),
        st.tuples(of_lists, forms | st.sampled_from(["dropped", "doubled"])),
        st.sampled_from([(name, value) for name, values in SCALARS.items() for value in values]),
    )
    return OperatorPlan(
        cell=cell,
        dtype=draw(st.sampled_from(["float32", "float64", "float32", "float64", "float16"])),
        sizes=size,
        bias=draw(booleans),
        proj_size=draw(st.sampled_from([0, 1, hidden - 1])) if cell == "lstm" and hidden > 1 else 0,
        indices=draw(booleans),
        lengths=lengths,
        packed=lengths is not None and draw(booleans),
        resets=draw(booleans),
        reverse=draw(booleans),
        save=draw(st.sampled_from(["gates", "states"] if backward else ["gates", "states", ""])),
        clip_step=draw(st.sampled_from([0.0, 0.5])),
        backward=backward,
        changes=tuple(draw(st.lists(change, max_size=2))),
        seed=draw(st.integers(0, 99)),
    )
