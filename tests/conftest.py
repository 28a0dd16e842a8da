"""No test may depend on another's random numbers; and on request the annotated shapes are checked at run time."""

import os

import pytest
import torch

if os.environ.get("THROUGHTIME_CHECK_SHAPES"):  # set by tests/test_shapes.py
    from jaxtyping import install_import_hook

    # layers.affine is left out: beartype refuses `Self` in a function it decorates without the class.
    checked = ("cells", "gradients", "layers.base", "layers.direction", "layers.inputs")
    install_import_hook([f"throughtime.{room}" for room in checked], "beartype.beartype")


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(20240312)
