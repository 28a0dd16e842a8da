"""No kernel reads beyond a tensor, not by a vector's width either: every tensor ends at a page that may not be read.

What the library writes, and reads again, is torch's own memory; test_sanitized.py watches over that.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from fuzz.layer_plans import KINDS, LayerPlan
from fuzz.strategies import PLACES
from fuzz.verdicts import RIGHT
from fuzz.worker import Worker

from throughtime.kernels import native

pytestmark = pytest.mark.skipif(native.library() is None, reason="the compiled kernels are not installed")

SIZES = [(1, 1, 1, 1), (3, 2, 3, 5), (2, 5, 7, 9), (5, 3, 16, 8), (2, 9, 1, 17), (4, 1, 33, 33), (2, 17, 5, 31)]
"""Steps, rows, inputs, units: below, at and above the widths of vectors."""

PLACES_OF_TENSORS = sorted({place for area in ("inputs", "weights", "masks", "cotangents") for place in PLACES[area]})


@pytest.fixture(scope="module", params=native.describe().get("instruction_sets", "").split())
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    started = Worker({"THROUGHTIME_INSTRUCTION_SET": request.param})
    yield started
    started.close()


@pytest.mark.parametrize("form", ["guarded", "guarded from below"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_kernel_reads_beyond_a_tensor(kind: str, dtype: str, form: str, worker: Worker):
    changes = tuple((place, form) for place in PLACES_OF_TENSORS)
    for sizes in SIZES:
        steps, rows, _, hidden = sizes
        proj_size = hidden // 2 if kind == "LSTM" else 0
        lengths = tuple(1 + index % steps for index in range(rows))
        plan = LayerPlan(kind=kind, dtype=dtype, sizes=sizes, bidirectional=True, hx=True, changes=changes)
        for options in (
            {},
            {"method": "states", "proj_size": proj_size},
            {"way": "indices", "resets": True},
            {"lengths": lengths, "resets": True, "method": "clipped"},
            {"lengths": lengths, "way": "packed", "mode": "no_grad", "bias": False},
        ):
            guarded = replace(plan, **options)
            assert worker.ask(guarded) == RIGHT, guarded
