"""How the compiled library is found, described and told which instructions to use; and what happens without it."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import warnings
import zipfile
from functools import partial
from pathlib import Path

import pytest
import torch
from examples_of import parameters_of, states_of
from kernels.test_compiled import KINDS
from oracles import relative

import throughtime as tt
from throughtime.cells import Loop
from throughtime.errors import ArgumentError
from throughtime.kernels import native
from throughtime.sequences import Cotangents, Sequence, StepNorms

ROOT = Path(__file__).parents[2]
HEADER = ROOT / "src" / "throughtime" / "kernels" / "throughtime.h"
INSTALLED = pytest.mark.skipif(native.library() is None, reason="the compiled kernels are not installed")
SETS = ("avx512", "avx2", "baseline")
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-13}
CELLS = {kind: partial(make, 3, 19) for kind, make in KINDS.items()}


@pytest.fixture
def instruction_set():
    """`use_instruction_set`, and afterwards the one that was in use before."""
    before = native.describe()["instruction_set"]
    yield native.use_instruction_set
    native.use_instruction_set(str(before))


@pytest.fixture
def no_library(monkeypatch):
    """As where the package was installed without a compiler."""
    monkeypatch.setattr(native, "FILE", "libnowhere.so")
    native.library.cache_clear()
    yield
    monkeypatch.undo()
    native.library.cache_clear()


def _results(runner, cell, dtype):
    """Outputs, final state and all gradients of one sequence with lengths and resets, in one vector."""
    torch.manual_seed(5)
    steps, rows = 7, 5
    parameters = {name: value.detach() for name, value in parameters_of(cell, dtype).items()}
    initial, rest = (tuple(member.detach() for member in states_of(cell, rows, dtype)) for _ in range(2))
    lengths = torch.tensor([3, 7, 0, 1, 6])
    resets = (torch.rand(steps, rows) < 0.3) & (torch.arange(steps)[:, None] < lengths)
    sequence = Sequence(torch.randn(steps, rows, cell.input_size, dtype=dtype), initial, rest, lengths, resets)
    result = runner.forward(parameters, sequence, "gates")
    d_outputs, *d_final = (torch.randn(one.shape, dtype=dtype) for one in (result.outputs, *result.final))
    g = runner.backward(parameters, sequence, result.trace, Cotangents(d_outputs, tuple(d_final)), StepNorms())
    found = (
        result.outputs,
        *result.final,
        g.x,
        *g.initial,
        *g.reset_state,
        *(g.parameters[name] for name in sorted(parameters)),
    )
    return torch.cat([one.flatten() for one in found])


def _fields_in_c(structure):
    """(type, name) of the members of a struct of throughtime.h, in order; every pointer is a "void *"."""
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    body = re.search(rf"typedef struct {structure} \{{(.*?)\}}", text, re.S)
    assert body is not None
    fields = []
    for declaration in filter(None, (part.strip() for part in body[1].split(";"))):
        kind, names = re.fullmatch(r"(?:const )?(\w+) (.*)", declaration, re.S).groups()
        fields += [("void *" if "*" in name else kind, name.strip(" *\n")) for name in names.split(",")]
    return fields


@pytest.mark.parametrize(
    ("mirror", "structure"),
    [
        (native.TtProblem, "tt_problem"),
        (native.ForwardArguments, "tt_forward_arguments"),
        (native.BackwardArguments, "tt_backward_arguments"),
    ],
)
def test_the_structures_are_those_of_the_header(mirror, structure):
    in_c = {ctypes.c_int64: "int64_t", ctypes.c_double: "double", ctypes.c_void_p: "void *"}
    in_c[native.TtProblem] = "tt_problem"
    assert [(in_c[kind], name) for name, kind in mirror._fields_] == _fields_in_c(structure)


def test_the_status_codes_are_those_of_the_header():
    codes = dict(re.findall(r"TT_(\w+) = (\d+)", HEADER.read_text()))
    assert set(codes) == {"OK", "OUT_OF_MEMORY", "BAD_ARGUMENT", "BAD_LENGTHS", "BAD_INDEX"}
    assert {name: getattr(native, name) for name in codes} == {name: int(code) for name, code in codes.items()}


@pytest.mark.parametrize("structure", [native.TtProblem, native.ForwardArguments, native.BackwardArguments])
def test_a_misspelled_field_is_refused(structure):
    with pytest.raises(AttributeError, match="initail_h"):
        structure(initail_h=1)


@INSTALLED
def test_an_entry_point_refuses_the_structure_of_the_other_pass():
    forward = native.entry_point("gru", "forward", torch.float64)
    with pytest.raises(ctypes.ArgumentError):
        native.call(forward, native.BackwardArguments())


@INSTALLED
def test_what_is_in_use_is_described(instruction_set):
    described = native.describe()
    assert Path(str(described["kernels"])).name == native.FILE and Path(str(described["kernels"])).exists()
    sets = str(described["instruction_sets"]).split()
    assert sets == [name for name in SETS if name in sets] and sets[-1] == "baseline"
    openmp = "OpenMP" in torch.__config__.parallel_info()
    assert described["thread_pool"] == ("torch" if openmp and sys.platform == "linux" else "none")
    for name in sets:
        instruction_set(name)
        assert native.describe() == described | {"instruction_set": name}


@INSTALLED
def test_the_number_of_threads_is_torchs():
    before = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert native.describe()["threads"] == count
    finally:
        torch.set_num_threads(before)


@INSTALLED
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("kind", CELLS)
def test_a_forced_instruction_set_agrees_with_the_loop(kind, name, dtype, instruction_set):
    if name not in str(native.describe()["instruction_sets"]).split():
        pytest.skip(f"this machine does not run {name}")
    instruction_set(name)
    cell = CELLS[kind]()
    assert relative(_results(cell.kernel, cell, dtype), _results(Loop(cell), cell, dtype)) <= TOLERANCE[dtype]


@INSTALLED
def test_an_instruction_set_that_is_not_there_is_refused_by_name():
    before = native.describe()
    for name in ("sse9", "", "AVX2"):
        with pytest.raises(ArgumentError, match=f"instruction_set is '{name}'.*{before['instruction_sets']}"):
            native.use_instruction_set(name)
    assert native.describe() == before


def _printed(program, **environment):
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@INSTALLED
def test_the_environment_chooses_the_instruction_set():
    program = "from throughtime.kernels import native; print(native.describe()['instruction_set'])"
    best, *_, last = str(native.describe()["instruction_sets"]).split()
    for name in (last, best):
        assert _printed(program, THROUGHTIME_INSTRUCTION_SET=name) == name
    assert _printed(program, THROUGHTIME_INSTRUCTION_SET="") == best


@INSTALLED
def test_an_unknown_instruction_set_in_the_environment_is_refused_at_the_first_use():
    program = """
import torch, throughtime as tt
from throughtime.errors import ArgumentError
layer = tt.GRU(3, 5)
for _ in range(2):
    try:
        layer(torch.zeros(2, 1, 3))
    except ArgumentError as error:
        print(error)
"""
    first, second = _printed(program, THROUGHTIME_INSTRUCTION_SET="sse9").splitlines()
    assert "'sse9'" in first and "baseline" in first and second == first


@pytest.mark.parametrize("kind", CELLS)
def test_without_the_library_everything_runs_on_the_loop_and_says_so_once(kind, no_library):
    cell = CELLS[kind]()
    layer = {"Elman": tt.RNN(3, 5), "GRU": tt.GRU(3, 5)}.get(kind) or tt.LSTM(3, 5)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(3):
            layer(torch.randn(4, 2, 3, requires_grad=True))[0].sum().backward()
        x = torch.zeros(2, 1, cell.input_size)
        assert not cell.kernel.serves({}, Sequence(x, states_of(cell, 1, x.dtype), ()))
    assert len(said) == 1 and "without its compiled kernels (libnowhere.so)" in str(said[0].message)


def test_without_the_library_the_results_are_the_same(monkeypatch):
    layer, x = tt.GRU(3, 5).double(), torch.randn(4, 2, 3, dtype=torch.float64)
    fused, fused_gradient = _outputs_and_gradient(layer, x)
    with monkeypatch.context() as without:
        without.setattr(native, "FILE", "libnowhere.so")
        native.library.cache_clear()
        with pytest.warns(UserWarning, match="slower reference path"):
            looped, looped_gradient = _outputs_and_gradient(layer, x)
    native.library.cache_clear()
    assert relative(looped, fused) <= 1e-13 and relative(looped_gradient, fused_gradient) <= 1e-13


def _outputs_and_gradient(layer, x):
    y, _ = layer(x)
    return y.detach(), torch.autograd.grad(y.square().sum(), layer.weight_hh_l0)[0]


@pytest.mark.filterwarnings("ignore:throughtime was installed without its compiled kernels")
def test_without_the_library_that_is_described_and_no_instruction_set_can_be_used(no_library):
    assert native.describe() == {"kernels": "none: libnowhere.so is not installed", "threads": torch.get_num_threads()}
    with pytest.raises(ArgumentError, match="'baseline'.*the kernels are not built"):
        native.use_instruction_set("baseline")


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (1, MemoryError, "out of memory"),
        (2, ArgumentError, "^arguments hold a value that is out of range; sizes must be"),
    ],
)
def test_a_status_that_is_not_ok_is_an_error(status, error, message):
    with pytest.raises(error, match=message):
        native.call(lambda *_: status, native.ForwardArguments())
    native.call(lambda *_: 0, native.ForwardArguments())


def test_without_a_compiler_the_wheel_is_python_alone_and_runs(tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    for name in ("pyproject.toml", "CMakeLists.txt", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", str(source), "--no-deps", "--wheel-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "CC": shutil.which("false"), "CXX": shutil.which("false")},
    )
    if re.search("No module named pip|Could not find a version|No matching distribution|ConnectionError", done.stderr):
        pytest.skip("the build backend cannot be had here: pip finds no scikit-build-core")
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as opened:
        assert {Path(name).suffix for name in opened.namelist()} & {".so", ".dylib", ".cpp", ".hpp", ".h"} == set()
        opened.extractall(site)
    # -S leaves out site-packages and with it an editable installation, which would come first.
    program = f"""
import sys
sys.path[:0] = [{str(site)!r}, {str(Path(torch.__file__).parents[1])!r}]
import torch, throughtime as tt
from throughtime.kernels import native
layer, twin = tt.LSTM(3, 5), torch.nn.LSTM(3, 5)
twin.load_state_dict(layer.state_dict())
x = torch.randn(4, 2, 3)
for module in (layer, twin):
    module(x)[0].square().sum().backward()
print(tt.__file__.startswith({str(site)!r}), native.describe()["kernels"])
print(torch.allclose(layer.weight_hh_l0.grad, twin.weight_hh_l0.grad, atol=1e-6))
"""
    ran = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, timeout=120)
    assert ran.stdout.splitlines() == [f"True none: {native.FILE} is not installed", "True"], ran.stderr
    assert ran.stderr.count("without its compiled kernels") == 1
