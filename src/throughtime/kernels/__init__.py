"""The same recurrences, fused over time; the cells name theirs."""

from throughtime.kernels.base import Kernel as Kernel
