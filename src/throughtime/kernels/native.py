"""Compiled library: its C structures, and functions to load and call the library."""

import ctypes
import os
import sys
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch

from throughtime.errors import ArgumentError
from throughtime.torch_internals import constant_when_compiled

FILE = "libthroughtime.dylib" if sys.platform == "darwin" else "libthroughtime.so"
OK, OUT_OF_MEMORY, BAD_ARGUMENT, BAD_LENGTHS, BAD_INDEX = range(5)
"""Status codes of throughtime.h."""

SUFFIXES = {torch.float32: "float", torch.float64: "double"}
"""Suffix of the entry points for each dtype of the library."""

WEIGHTS = ("weight_ih", "bias_ih", "weight_hh", "bias_hh", "weight_hr")
"""Fields of throughtime.h for the parameters of an affine cell, in their order there."""


class Structure(ctypes.Structure):
    """Base of the structures of throughtime.h.

    Fill the fields by keyword: two addresses in the wrong order would corrupt memory.
    """

    __slots__ = ()  # A misspelled field is an error, not a new attribute that C never sees.


class TtProblem(Structure):
    """Struct `tt_problem` of throughtime.h, which both passes share.

    The field `input` is the number I; the field `x` is the address of the inputs.
    """

    __slots__ = ()
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("steps", "batch", "input", "hidden", "output", "reverse", "packed")),
        ("entries", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("lengths", "resets", "x")),
        *((name, ctypes.c_int64) for name in ("x_step", "x_row")),
        ("index", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in WEIGHTS),
        *((name, ctypes.c_void_p) for name in ("initial_h", "initial_c", "reset_h", "reset_c")),
        *((name, ctypes.c_void_p) for name in ("h", "c", "gates", "extra")),
    ]


class ForwardArguments(Structure):
    """Struct `tt_forward_arguments` of throughtime.h."""

    __slots__ = ()
    _fields_ = [("problem", TtProblem), ("final_h", ctypes.c_void_p), ("final_c", ctypes.c_void_p)]


class BackwardArguments(Structure):
    """Struct `tt_backward_arguments` of throughtime.h."""

    __slots__ = ()
    _fields_ = [
        ("problem", TtProblem),
        ("d_h", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("d_h_step", "d_h_row")),
        *((name, ctypes.c_void_p) for name in ("d_final_h", "d_final_c")),
        ("clip", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("d_x", *(f"d_{name}" for name in WEIGHTS))),
        *((name, ctypes.c_void_p) for name in ("norm_h", "norm_c", "d_initial_h", "d_initial_c")),
        *((name, ctypes.c_void_p) for name in ("d_reset_h", "d_reset_c")),
    ]


Arguments = ForwardArguments | BackwardArguments

ARGUMENTS = {"forward": ForwardArguments, "backward": BackwardArguments}
"""Structure that the entry points of each pass take."""


@cache
def library() -> ctypes.CDLL | None:
    """Load the library once; None, with a single warning, where it was not built."""
    # The sources and the built library may lie in different folders, as in an editable installation.
    folders = [Path(folder) for folder in sys.modules["throughtime.kernels"].__path__]
    files = [folder / FILE for folder in folders if (folder / FILE).exists()]
    if not files:
        warnings.warn(
            f"throughtime was installed without its compiled kernels ({FILE}), so every layer runs on the slower "
            "reference path; with a C++ compiler present, install it again",
            stacklevel=2,
        )
        return None
    loaded = ctypes.CDLL(str(files[0]))
    loaded.tt_instruction_set.restype = loaded.tt_instruction_sets.restype = ctypes.c_char_p
    loaded.tt_use_threads(_torch_parallel_for())
    wanted = os.environ.get("THROUGHTIME_INSTRUCTION_SET")
    if wanted:
        use_instruction_set(wanted, loaded)
    return loaded


@constant_when_compiled
def is_built() -> bool:
    """Return whether the library was built; torch.compile takes the answer as a constant."""
    return library() is not None


@cache
def entry_point(cell: str, what: str, dtype: torch.dtype) -> Callable[..., int]:
    """Return the library's `tt_CELL_WHAT_TYPE`, with `what` "forward" or "backward".

    ctypes refuses the structure of the other pass.
    """
    function = getattr(library(), f"tt_{cell}_{what}_{SUFFIXES[dtype]}")
    function.argtypes = [ctypes.POINTER(ARGUMENTS[what]), ctypes.c_int64]
    return function


@cache
def gates_and_c(cell: str) -> tuple[int, bool] | None:
    """Return the number of gates of a cell, and whether its state has c.

    None stands for a name that no cell has.
    """
    try:
        gates, has_c = (getattr(library(), f"tt_{cell}_{what}") for what in ("gates", "has_c"))
    except (AttributeError, TypeError):
        return None
    return gates(), bool(has_c())


@cache
def biases_differ(cell: str) -> bool:
    """Return whether the two biases of a cell have different gradients.

    See `tt_CELL_biases_differ` of throughtime.h.
    """
    return bool(getattr(library(), f"tt_{cell}_biases_differ")())


def _torch_parallel_for() -> ctypes.c_void_p | None:
    """Return the address of torch's parallel loop, which torch 2.10 and later export.

    Only the loop of an OpenMP build runs all parts concurrently, as `tt_parallel_for` requires; otherwise None.
    """
    if "OpenMP" not in torch.__config__.parallel_info():
        return None
    try:
        torch_library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        return ctypes.cast(torch_library.torch_parallel_for, ctypes.c_void_p)
    except (OSError, AttributeError):
        return None


def use_instruction_set(instruction_set: str, loaded: ctypes.CDLL | None = None) -> None:
    """Run the kernels with "avx512", "avx2" or "baseline" from now on.

    Raises:
        ArgumentError: the library or the machine lacks the instruction set.
    """
    loaded = loaded or library()
    if loaded is None or loaded.tt_use_instruction_set(instruction_set.encode()) != OK:
        have = "none, the kernels are not built" if loaded is None else loaded.tt_instruction_sets().decode()
        raise ArgumentError("instruction_set", f"is {instruction_set!r}", f"this machine and library have: {have}")


def call(function: Callable[..., int], arguments: Arguments) -> None:
    """Call an entry point of the library with torch's number of threads.

    Args:
        function: the entry point, see `entry_point`.
        arguments: a filled `ForwardArguments` or `BackwardArguments`.

    Raises:
        MemoryError: the kernel could not allocate its workspace.
        ArgumentError: the lengths, or any other argument, are out of range.
    """
    status = function(ctypes.byref(arguments), torch.get_num_threads())
    if status == OUT_OF_MEMORY:
        raise MemoryError("the kernel ran out of memory")
    if status == BAD_LENGTHS:
        problem = arguments.problem
        lengths = (ctypes.c_int64 * problem.batch).from_address(problem.lengths)
        came = f"lie in {min(lengths)} … {max(lengths)}" if problem.batch else "are none"
        allowed = f"they must lie in 0 … {problem.steps}"
        more = f", and their sum must be {problem.entries}, the entries of the input" if problem.packed else ""
        raise ArgumentError("lengths", came, allowed + more)
    if status == BAD_INDEX:
        raise ArgumentError(
            "input", "holds an index out of range", f"indices must lie in 0 … {arguments.problem.input - 1}"
        )
    if status != OK:
        raise ArgumentError("arguments", "hold a value that is out of range", "sizes must be those of the weights")


def describe() -> dict[str, str | int]:
    """Describe the library, instruction set and threads in use, for records and reports."""
    loaded = library()
    if loaded is None:
        return {"kernels": f"none: {FILE} is not installed", "threads": torch.get_num_threads()}
    return {
        "kernels": str(getattr(loaded, "_name", FILE)),
        "instruction_set": loaded.tt_instruction_set().decode(),
        "instruction_sets": loaded.tt_instruction_sets().decode(),
        "threads": torch.get_num_threads(),
        "thread_pool": "none" if _torch_parallel_for() is None else "torch",
    }
