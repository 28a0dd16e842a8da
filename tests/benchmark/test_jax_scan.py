import importlib.util
import types

import pytest

from throughtime.benchmark import jax_scan
from throughtime.benchmark.grid import Case, Shape
from throughtime.benchmark.jax_scan import find_jax
from throughtime.benchmark.parity import distances
from throughtime.benchmark.sides import prepare


@pytest.fixture
def _environment(monkeypatch):
    for name in ("NPROC", "PJRT_NPROC", "JAX_PLATFORMS", "XLA_FLAGS"):
        monkeypatch.setenv(name, "")


def test_without_jax_a_line_says_so(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert find_jax(1) == (None, "jax is not installed: no comparison with jax.lax.scan.")


def test_a_broken_jax_is_said_too(monkeypatch, _environment):
    def broken(name):
        raise ImportError("no jaxlib")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(jax_scan, "importlib", types.SimpleNamespace(import_module=broken, util=importlib.util))
    assert find_jax(1) == (None, "jax cannot be used (no jaxlib): no comparison with jax.lax.scan.")


def test_jax_is_told_the_threads(monkeypatch, _environment):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    fake = types.SimpleNamespace(__version__="9.9")
    monkeypatch.setattr(
        jax_scan, "importlib", types.SimpleNamespace(import_module=lambda name: fake, util=importlib.util)
    )
    scan, sentence = find_jax(1)
    assert scan is not None and sentence.startswith("jax 9.9: ")
    environment = jax_scan.os.environ
    assert (environment["NPROC"], environment["PJRT_NPROC"]) == ("1", "1")
    assert environment["XLA_FLAGS"] == "--xla_cpu_multi_thread_eigen=false"


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_the_same_recurrence(cell, _environment):
    pytest.importorskip("jax", reason="jax is not installed")
    prepared = prepare(Case(cell, Shape(3, 7, 11)))
    scan, _ = find_jax(1)
    assert scan is not None
    turn, away = scan.prepare(cell, prepared.ours, distances(prepared)[1])
    assert 0 < away < 1e-6
    value, _ = turn()
    assert float(value) == pytest.approx((prepared.ours()[0] * prepared.ours.cotangent).sum().item(), rel=1e-5)
