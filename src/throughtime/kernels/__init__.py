"""Fused recurrences in compiled code.

A cell's property `kernel` returns its kernel; `describe()` tells which library and instruction set are in use.
`Kernel` is the `Runner` of throughtime.sequences, under the name that version 0.1.0 gave it.
"""

from throughtime.kernels.compiled import Sizes as Sizes
from throughtime.kernels.fused import FusedKernel as FusedKernel
from throughtime.kernels.native import describe as describe
from throughtime.sequences.runner import Runner as Kernel

__all__ = ["FusedKernel", "Kernel", "Sizes", "describe"]
