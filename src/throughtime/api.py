"""The public names, served by the package itself: `import throughtime as tt; tt.LSTM`."""

from throughtime import losses as losses
from throughtime.cells import AffineCell as AffineCell
from throughtime.cells import Cell as Cell
from throughtime.cells import FunctionCell as FunctionCell
from throughtime.clipping import clip_gradients as clip_gradients
from throughtime.gradients import BPTT as BPTT
from throughtime.gradients import DoubleSum as DoubleSum
from throughtime.gradients import tap as tap
from throughtime.layers import GRU as GRU
from throughtime.layers import LSTM as LSTM
from throughtime.layers import RNN as RNN
from throughtime.layers import Recurrent as Recurrent
from throughtime.verification import verify_gradients as verify_gradients

__all__ = [
    "BPTT",
    "GRU",
    "LSTM",
    "RNN",
    "AffineCell",
    "Cell",
    "DoubleSum",
    "FunctionCell",
    "Recurrent",
    "clip_gradients",
    "losses",
    "tap",
    "verify_gradients",
]
