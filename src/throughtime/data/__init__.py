"""Data: files, frames and arrays of series, texts, byte streams, chunks, baselines, synthetic problems."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from throughtime.data.dataset import Dataset as Dataset
    from throughtime.data.dataset import read as read


def __getattr__(name: str) -> object:
    # On first use: most modules of this room are wanted by themselves, some of them by `throughtime --help`.
    if name in ("Dataset", "read"):
        from throughtime.data import dataset

        return getattr(dataset, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
