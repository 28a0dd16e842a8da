"""Sequences that recurrences run over, and the interface of the runners."""

from throughtime.sequences.norms import StepNorms as StepNorms
from throughtime.sequences.runner import Cotangents as Cotangents
from throughtime.sequences.runner import Pass as Pass
from throughtime.sequences.runner import Runner as Runner
from throughtime.sequences.runner import Trace as Trace
from throughtime.sequences.sequence import Sequence as Sequence
from throughtime.sequences.tap import LayerTap as LayerTap
from throughtime.sequences.tap import Tap as Tap
