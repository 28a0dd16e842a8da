"""The layers that commands know by name: all public stacks of affine cells, and no others."""

from typing import get_args

from throughtime import api
from throughtime.layers.affine import AffineLayer
from throughtime.layers.named import LAYERS
from throughtime.runs.settings import CellName


def test_every_public_stack_can_be_chosen_by_its_name():
    public = [getattr(api, name) for name in api.__all__]
    stacks = {kind for kind in public if isinstance(kind, type) and issubclass(kind, AffineLayer)}
    assert set(LAYERS.values()) == stacks and len(stacks) >= 3
    assert set(LAYERS) == set(get_args(CellName))
