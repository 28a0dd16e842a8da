"""How ∂L/∂θ, ∂L/∂x and ∂L/∂h_0 of a recurrence are obtained, one file per method."""

from throughtime.gradients.base import GradientMethod as GradientMethod
from throughtime.gradients.base import run as run
from throughtime.gradients.bptt import BPTT as BPTT
from throughtime.gradients.checkpointed import CheckpointedBPTT as CheckpointedBPTT
from throughtime.gradients.double_sum import DoubleSum as DoubleSum
from throughtime.gradients.eprop import EProp as EProp
from throughtime.gradients.parallel_scan import ParallelScan as ParallelScan
from throughtime.gradients.rflo import RFLO as RFLO
from throughtime.gradients.rtrl import RTRL as RTRL
from throughtime.gradients.sequence import Sequence as Sequence
from throughtime.gradients.snap import SnAp as SnAp
from throughtime.gradients.tap import Tap as Tap
from throughtime.gradients.tap import tap as tap
from throughtime.gradients.truncated import TruncatedBPTT as TruncatedBPTT
from throughtime.gradients.uoro import UORO as UORO
from throughtime.types import Gradients as Gradients
