"""Recurrences as a compiled jax.lax.scan, where jax is installed."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable
from typing import Any

import numpy
from torch import Tensor

from throughtime.benchmark.parity import relative
from throughtime.benchmark.sides import TrainingPass
from throughtime.wording import reason_of


class JaxScan:
    """Runner of jax on the CPU, with a given number of threads.

    Args:
        threads: size of the thread pool, which XLA reads when it is first used in a process; products may differ.
    """

    def __init__(self, threads: int) -> None:
        os.environ.update(NPROC=str(threads), PJRT_NPROC=str(threads), JAX_PLATFORMS="cpu")
        if threads == 1:
            flags = os.environ.get("XLA_FLAGS", "")
            os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
        self._jax: Any = importlib.import_module("jax")

    @property
    def version(self) -> str:
        """Version of jax."""
        return self._jax.__version__

    def prepare(self, cell: str, side: TrainingPass, reference: tuple[Tensor, ...]) -> tuple[Callable[[], Any], float]:
        """Compile the pass of a layer in one direction over full sequences.

        Args:
            cell: "rnn", "gru" or "lstm".
            side: the pass of the layer.
            reference: the output in float64, then the gradients, in the order of `TrainingPass.names`.

        Returns:
            The pass in jax, which waits for its results; and the largest relative distance of its gradients from
            `reference`.
        """
        jnp = self._jax.numpy
        parameters = {
            name.removesuffix("_l0"): jnp.asarray(value.detach().numpy())
            for name, value in side.module.named_parameters()
        }
        x, cotangent = (jnp.asarray(tensor.detach().numpy()) for tensor in (side.x, side.cotangent))

        def loss(parameters: Any, x: Any) -> Any:
            return jnp.vdot(_outputs(self._jax, cell, parameters, x), cotangent)

        gradients = self._jax.jit(self._jax.value_and_grad(loss, argnums=(0, 1)))

        def turn() -> Any:
            return self._jax.block_until_ready(gradients(parameters, x))

        _, (d_parameters, d_x) = turn()
        return turn, max(map(_distance, (d_x, *(d_parameters[name] for name in parameters)), reference[1:]))


def find_jax(threads: int) -> tuple[JaxScan | None, str]:
    """Return a runner of jax, or None, and a sentence on the choice."""
    if importlib.util.find_spec("jax") is None:
        return None, "jax is not installed: no comparison with jax.lax.scan."
    try:
        scan = JaxScan(threads)
    except Exception as error:  # a broken installation of jax must not stop the comparison with torch.nn
        return None, f"jax cannot be used ({reason_of(error)}): no comparison with jax.lax.scan."
    return scan, f"jax {scan.version}: a jit-compiled value_and_grad of lax.scan, its compilation left out."


def _distance(ours: Any, exact: Tensor) -> float:
    return relative(exact.new_tensor(numpy.asarray(ours)), exact)


def _outputs(jax: Any, cell: str, parameters: Any, x: Any) -> Any:
    """Return h_1…T of a layer; the product with the input stands before the scan."""
    bias, inner_bias = parameters["bias_ih"], parameters["bias_hh"]
    if cell != "gru":  # a GRU's candidate multiplies its second bias by r, so that it stays inside the recurrence
        bias, inner_bias = bias + inner_bias, 0.0
    rows = x @ parameters["weight_ih"].T + bias
    zero = jax.numpy.zeros((x.shape[1], parameters["weight_hh"].shape[1]), x.dtype)

    def product(h: Any) -> Any:
        return h @ parameters["weight_hh"].T + inner_bias

    def rnn(h: Any, row: Any) -> Any:
        h = jax.numpy.tanh(row + product(h))
        return h, h

    def gru(h: Any, row: Any) -> Any:
        (x_r, x_z, x_n), (h_r, h_z, h_n) = (jax.numpy.split(a, 3, -1) for a in (row, product(h)))
        z = jax.nn.sigmoid(x_z + h_z)
        h = (1 - z) * jax.numpy.tanh(x_n + jax.nn.sigmoid(x_r + h_r) * h_n) + z * h
        return h, h

    def lstm(state: Any, row: Any) -> Any:
        i, f, g, o = jax.numpy.split(row + product(state[0]), 4, -1)
        c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jax.numpy.tanh(g)
        h = jax.nn.sigmoid(o) * jax.numpy.tanh(c)
        return (h, c), h

    step, initial = {"rnn": (rnn, zero), "gru": (gru, zero), "lstm": (lstm, (zero, zero))}[cell]
    return jax.lax.scan(step, initial, rows)[1]
