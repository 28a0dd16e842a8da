import os
import time

import torch

from throughtime.benchmark import machine as module
from throughtime.benchmark.machine import OtherLoad, lines, machine
from throughtime.kernels import native


def test_the_machine_in_words(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    found = machine()
    assert found["versions"]["torch"] == torch.__version__ and found["threads"] == torch.get_num_threads()
    text = "\n".join(lines(found))
    assert f"Threads   {torch.get_num_threads()}; OMP_WAIT_POLICY=PASSIVE" in text
    assert found["processor"] in text and f"torch {torch.__version__}" in text


def test_a_system_that_does_not_tell_its_load(monkeypatch):
    monkeypatch.delattr(os, "getloadavg", raising=False)
    around = machine()
    assert around["load"] is None and ", load unknown" in lines(around)[0]


def test_the_kernels_in_words(monkeypatch):
    monkeypatch.setattr(native, "library", lambda: None)
    found = {**machine(), "waiting": {}}
    text = "\n".join(lines(found))
    assert f"Kernels   none: {native.FILE} is not installed; the loop in PyTorch is measured" in text
    assert "as the OpenMP library chooses" in text
    fused = {"kernels": "fused", "instruction_set": "avx2", "instruction_sets": "avx2 baseline"}
    text = "\n".join(lines({**found, "kernels": {**fused, "thread_pool": "torch"}}))
    assert "Kernels   avx2 (of avx2, baseline), threads from: torch" in text


def test_the_load_of_others_is_all_time_but_ours(monkeypatch):
    times = {"wall": 10.0, "own": 3.0, "all": 100.0}
    monkeypatch.setattr(module, "perf_counter", lambda: times["wall"])
    monkeypatch.setattr(module, "process_time", lambda: times["own"])
    monkeypatch.setattr(module, "_busy_seconds", lambda: times["all"])
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    load = OtherLoad()
    times.update(wall=20.0, own=11.0, all=128.0)  # 28 s of 40 in all, 8 of them ours
    assert load.share() == 0.5
    times.update(all=107.0)  # counted in ticks: never below zero
    assert load.share() == 0.0
    monkeypatch.setattr(module, "_busy_seconds", lambda: None)
    assert load.share() is None


def test_the_busy_time_of_this_machine_moves_on():
    before = module._busy_seconds()
    if before is None:
        assert not os.path.exists("/proc/stat")
        return
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    after = module._busy_seconds()
    assert after is not None and after - before >= 0.05
