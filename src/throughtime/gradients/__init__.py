"""How ∂L/∂θ, ∂L/∂x and ∂L/∂h_0 of a recurrence are obtained, one file per method."""

from throughtime.gradients.base import GradientMethod as GradientMethod
from throughtime.gradients.base import run as run
from throughtime.gradients.bptt import BPTT as BPTT
from throughtime.gradients.checkpointed import CheckpointedBPTT as CheckpointedBPTT
from throughtime.gradients.checkpointed_backward import checkpointed_backward as checkpointed_backward
from throughtime.gradients.double_sum import DoubleSum as DoubleSum
from throughtime.gradients.sequence import Sequence as Sequence
from throughtime.gradients.tap import Tap as Tap
from throughtime.gradients.tap import tap as tap
from throughtime.types import Gradients as Gradients
