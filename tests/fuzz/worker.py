"""Runs plans in a process that may die: a crash is an answer about the plan that was running.

A started Python imports everything once and forks children. A child answers plan after plan; where one kills it, the
parent of the children says so and forks the next.
"""

import faulthandler
import mmap
import os
import pickle
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fuzz.verdicts import RIGHT

TESTS = Path(__file__).parents[1]
SECONDS = 120
"""After which a plan hangs."""

MOST_BYTES = 6 << 30


def _read(descriptor: int) -> Any:
    """One object; None at the end."""
    head = _exactly(descriptor, 8)
    return None if head is None else pickle.loads(_exactly(descriptor, struct.unpack("<q", head)[0]) or b"")


def _exactly(descriptor: int, count: int) -> bytes | None:
    parts = b""
    while len(parts) < count:
        part = os.read(descriptor, count - len(parts))
        if not part:
            return None
        parts += part
    return parts


def _write(descriptor: int, value: Any) -> None:
    data = pickle.dumps(value)
    data = struct.pack("<q", len(data)) + data
    while data:
        data = data[os.write(descriptor, data) :]


class Worker:
    """Answers plans one by one.

    Args:
        environment: variables beside those of this process, such as LD_PRELOAD.
        library: folder of the compiled library; None for the installed one.
    """

    def __init__(self, environment: Mapping[str, str] | None = None, library: Path | None = None) -> None:
        program = f"from fuzz import worker; worker.serve({str(library or '')!r})"
        self._words = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            bufsize=0,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS), **(environment or {})},
        )

    def ask(self, plan: Any) -> str:
        """The judgement of the plan's results, see verdicts.py, or how the plan ended the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        start = self._words.seek(0, os.SEEK_END)
        _write(self._process.stdin.fileno(), plan)
        answer = _read(self._process.stdout.fileno())
        if answer is None:
            return f"the worker ended:\n{self._since(start)}"
        judgement, crashed = answer
        return f"{judgement}\n{self._since(start)}" if crashed else judgement

    def _since(self, start: int) -> str:
        self._words.seek(start)
        return self._words.read().decode(errors="replace")[:5000]

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout, self._words):
            if stream is not None:
                stream.close()
        self._process.wait()


def serve(library: str) -> None:
    """Fork children that answer what comes on stdin, until it ends."""
    answers = os.dup(1)
    os.dup2(2, 1)
    stage = mmap.mmap(-1, 1)
    _prepare(library)
    while True:
        stage[0] = 0
        child = os.fork()
        if child == 0:
            _answer_plans(answers, stage)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            return
        # Where torch alone was at work, the crash is torch's.
        name = signal.Signals(-status).name if status < 0 else f"status {status}"
        _write(answers, (RIGHT, False) if stage[0] else (f"ended the process: {name}", True))


def _prepare(library: str) -> None:
    import warnings

    import torch

    import throughtime.kernels

    if library:
        throughtime.kernels.__path__.insert(0, library)
    from throughtime.kernels import native

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    loaded = native.library()
    assert loaded is not None and str(loaded._name).startswith(library)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True  # as tests/conftest.py has it
    from fuzz import layer_plans, operator_plans

    # torch makes itself ready at the first use; a child need not do so again.
    for plan in (layer_plans.LayerPlan(), operator_plans.OperatorPlan(), operator_plans.OperatorPlan(backward=True)):
        _judged(plan, lambda number: None)


def _answer_plans(answers: int, stage: mmap.mmap) -> None:
    faulthandler.enable()
    if "asan" not in os.environ.get("LD_PRELOAD", ""):  # whose shadow memory is beyond any limit
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def told(number: int) -> None:
        stage[0] = number

    while (plan := _read(0)) is not None:
        told(0)
        signal.alarm(SECONDS)
        judgement = _judged(plan, told)
        signal.alarm(0)
        _write(answers, (judgement, False))


def _judged(plan: Any, told: Callable[[int], None]) -> str:
    """The verdict of the plan's module; an error of the instrument is a fault as well."""
    try:
        return sys.modules[type(plan).__module__].verdict(plan, told)
    except Exception:
        return f"the instrument failed: {traceback.format_exc()[-3000:]}"
