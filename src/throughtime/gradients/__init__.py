"""Gradient methods: they compute ∂L/∂θ, ∂L/∂x and ∂L/∂h_0, in a file per method."""

from throughtime.gradients.base import GradientMethod as GradientMethod
from throughtime.gradients.base import run as run
from throughtime.gradients.bptt import BPTT as BPTT
from throughtime.gradients.checkpointed import CheckpointedBPTT as CheckpointedBPTT
from throughtime.gradients.double_sum import DoubleSum as DoubleSum
from throughtime.gradients.eprop import EProp as EProp
from throughtime.gradients.parallel_scan import ParallelScan as ParallelScan
from throughtime.gradients.rflo import RFLO as RFLO
from throughtime.gradients.rtrl import RTRL as RTRL
from throughtime.gradients.snap import SnAp as SnAp
from throughtime.gradients.truncated import TruncatedBPTT as TruncatedBPTT
from throughtime.gradients.uoro import UORO as UORO
from throughtime.types import Gradients as Gradients
