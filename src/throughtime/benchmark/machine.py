"""Machine, versions and settings on which the figures depend."""

import os
import platform
import sys
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy
import torch

from throughtime import __version__
from throughtime.kernels.native import describe

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
"""Environment variables for how long an idle thread keeps its core busy. They change the speed of both sides."""


def machine() -> dict[str, Any]:
    """Describe the machine in plain values, for `lines` and for JSON.

    The load is the mean of the last minute; None on Windows, which does not tell it.
    """
    return {
        "processor": _processor(),
        "cores": _cores(),
        "platform": platform.platform(),
        "load": _load(),
        "threads": torch.get_num_threads(),
        "waiting": {name: os.environ[name] for name in WAITING if name in os.environ},
        "versions": {
            "throughtime": __version__,
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "python": platform.python_version(),
        },
        "kernels": describe(),
    }


def lines(around: dict[str, Any]) -> list[str]:
    """Return the lines that describe a machine for a reader.

    Args:
        around: what `machine` returned.
    """
    kernels, waiting = around["kernels"], around["waiting"]
    load = "unknown" if around["load"] is None else around["load"]
    versions = ", ".join(f"{name} {version}" for name, version in around["versions"].items())
    chosen = ", ".join(f"{name}={value}" for name, value in waiting.items()) or "waiting as the OpenMP library chooses"
    if "instruction_set" not in kernels:
        kernel_line = f"Kernels   {kernels['kernels']}; the loop in PyTorch is measured"
    else:
        kernel_line = (
            f"Kernels   {kernels['instruction_set']} (of {', '.join(kernels['instruction_sets'].split())}), "
            f"threads from: {kernels['thread_pool']}"
        )
    return [
        f"Machine   {around['processor']}, {around['cores']} cores, {around['platform']}, load {load}",
        f"Versions  {versions}",
        f"Threads   {around['threads']}; {chosen}",
        kernel_line,
    ]


class OtherLoad:
    """Measure the share of the cores' time that other processes take from now on."""

    def __init__(self) -> None:
        self._wall, self._own, self._everybody = perf_counter(), process_time(), _busy_seconds()

    def share(self) -> float | None:
        """Return the share since the start, from 0 to 1; None outside Linux."""
        everybody = _busy_seconds()
        if everybody is None or self._everybody is None:
            return None
        others = (everybody - self._everybody) - (process_time() - self._own)
        return max(0.0, others / ((perf_counter() - self._wall) * (os.cpu_count() or 1)))


def _busy_seconds() -> float | None:
    """Return the seconds that the cores were busy, steal time included."""
    counters = Path("/proc/stat")
    if not counters.exists():
        return None
    # The first line sums over the cores: user nice system idle iowait irq softirq steal, in ticks of the clock.
    user, nice, system, _idle, _waiting, *rest = map(int, counters.read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line.partition(":")[2] for line in information.read_text().splitlines() if "model name" in line]
        if names:
            return names[0].strip()
    return platform.processor() or platform.machine()


def _load() -> float | None:
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
