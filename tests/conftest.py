"""One thread, a seed and poisoned memory before each test; on request the annotated shapes checked at run time."""

import os
import signal

import pytest
import torch

# A shell starts what runs in its background with Ctrl-C ignored, nohup with SIGHUP, and the processes that tests start,
# some of them to interrupt them, inherit that.
for number, answer in {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGTERM: signal.SIG_DFL,
}.items():
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, answer)

if os.environ.get("THROUGHTIME_CHECK_SHAPES"):  # set by tests/test_shapes.py
    from jaxtyping import install_import_hook

    # layers.affine is left out: beartype refuses `Self` in a function it decorates without the class.
    checked = ("sequences", "cells", "gradients", "layers.base", "layers.inputs", "layers.stack")
    install_import_hook([f"throughtime.{room}" for room in checked], "beartype.beartype")


# On a busy machine small products on several threads are a hundred times slower than on one.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(20240312)


@pytest.fixture(autouse=True)
def _poisoned_memory():
    """Fill what `torch.empty` and its kin return with NaN, integers with their largest value.

    What a kernel or a loop forgets to write then shows in every comparison. PyTorch does the filling itself, in its
    deterministic mode and below Python, so that torch's functions, `torch.compile` and `torch.func` are left as they
    are.
    """
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
