"""The same recurrences, fused over time; the cells name theirs. `describe()` says what is in use."""

from throughtime.kernels.base import Kernel as Kernel
from throughtime.kernels.native import describe as describe
