"""Layers by the names that commands use: "gru" for `GRU`."""

import inspect
from typing import Any

from throughtime import layers
from throughtime.layers.affine import AffineLayer

LAYERS: dict[str, type[AffineLayer[Any]]] = {
    name.lower(): kind for name, kind in vars(layers).items() if inspect.isclass(kind) and issubclass(kind, AffineLayer)
}
"""Every stack of affine cells that `throughtime.layers` exports."""
