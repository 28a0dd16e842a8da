"""Fused recurrences in compiled code, which cells name. `describe()` says what is in use."""

from throughtime.kernels.fused import FusedKernel as FusedKernel
from throughtime.kernels.fused import Sizes as Sizes
from throughtime.kernels.native import describe as describe
from throughtime.sequences.runner import Runner as Kernel

__all__ = ["FusedKernel", "Kernel", "Sizes", "describe"]
