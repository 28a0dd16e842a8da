"""Fused recurrences in compiled code.

A cell names its kernel, and `describe()` says which library and instruction set are in use.
"""

from throughtime.kernels.fused import FusedKernel as FusedKernel
from throughtime.kernels.fused import Sizes as Sizes
from throughtime.kernels.native import describe as describe
from throughtime.sequences.runner import Runner as Kernel

__all__ = ["FusedKernel", "Kernel", "Sizes", "describe"]
