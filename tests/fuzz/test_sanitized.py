"""The fuzz of layers and operators with a library that AddressSanitizer and UBSan watch.

A read beyond a tensor need not crash, and a write beyond one crashes later and elsewhere; here both end the process at
once, with a report. `make sanitize` tries more, with every instruction set.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from fuzz.layer_plans import LayerPlan
from fuzz.running import assert_no_fault
from fuzz.strategies import EXAMPLES, PLACES, layer_plans, operator_plans
from fuzz.verdicts import RIGHT
from fuzz.worker import Worker
from hypothesis import strategies as st

from throughtime.kernels import native

ROOT = Path(__file__).parents[2]
SETS = native.describe()["instruction_sets"].split() if EXAMPLES else ["baseline"]
"""The instruction sets tried; in the suite only one is built, because a build of all takes minutes."""

pytestmark = pytest.mark.skipif(native.library() is None, reason="the compiled kernels are not installed")


def _runtime(name: str) -> str:
    """The path of a library of g++'s."""
    path = subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout
    if not Path(path.strip()).is_absolute():
        pytest.skip(f"g++ has no {name} here")
    return path.strip()


@pytest.fixture(scope="module")
def built() -> Path:
    """The folder of the library under sanitizers; what is there and no older than the sources is kept."""
    missing = [name for name in ("cmake", "g++") if not shutil.which(name)]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: no library under sanitizers can be built")
    _runtime("libasan.so")
    folder = ROOT / "build" / ("sanitize" if EXAMPLES else "sanitize-baseline")
    options = ("-DTHROUGHTIME_SANITIZE=ON", f"-DTHROUGHTIME_ONLY_BASELINE={'OFF' if EXAMPLES else 'ON'}")
    for command in (
        ["cmake", "-S", str(ROOT), "-B", str(folder), "-DCMAKE_CXX_COMPILER=g++", *options],
        ["cmake", "--build", str(folder), "--parallel", str(os.cpu_count() or 1)],
    ):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout[-3000:]
    return folder


@pytest.fixture(scope="module", params=SETS)
def worker(request: pytest.FixtureRequest, built: Path):
    environment = {
        # libstdc++ too: Python is not linked with it, and the exceptions that torch throws pass through libasan.
        "LD_PRELOAD": f"{_runtime('libasan.so')} {_runtime('libstdc++.so')}",
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=6000",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "THROUGHTIME_INSTRUCTION_SET": request.param,
    }
    started = Worker(environment, built)
    yield started
    started.close()


def test_the_library_under_sanitizers_computes_the_same(worker: Worker):
    plans = [
        LayerPlan(kind=kind, dtype=dtype, layers=2, bidirectional=True, lengths=(3, 1), way=way, method=method)
        for kind in ("RNN-tanh", "GRU", "LSTM")
        for dtype in ("float32", "float64")
        for way in ("vectors", "packed")
        for method in ("BPTT", "states")
    ]
    assert [worker.ask(plan) for plan in plans] == [RIGHT] * len(plans)


@pytest.mark.parametrize("area", PLACES)
def test_no_layer_reads_or_writes_beyond_its_memory(area: str, worker: Worker):
    assert_no_fault(layer_plans(area), worker, examples=20)


def test_no_operator_reads_or_writes_beyond_its_memory(worker: Worker):
    assert_no_fault(st.booleans().flatmap(operator_plans), worker, examples=60)
