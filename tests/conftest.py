"""One thread, a seed before each test, and on request the annotated shapes checked at run time."""

import os

import pytest
import torch

if os.environ.get("THROUGHTIME_CHECK_SHAPES"):  # set by tests/test_shapes.py
    from jaxtyping import install_import_hook

    # layers.affine is left out: beartype refuses `Self` in a function it decorates without the class.
    checked = ("sequences", "cells", "gradients", "layers.base", "layers.inputs")
    install_import_hook([f"throughtime.{room}" for room in checked], "beartype.beartype")


# On a busy machine small products on several threads are a hundred times slower than on one.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(20240312)
