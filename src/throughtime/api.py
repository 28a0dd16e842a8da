"""Public names, which the package itself serves: `import throughtime as tt; tt.LSTM`."""

from throughtime import data as data
from throughtime import diagnosis as diagnosis
from throughtime import losses as losses
from throughtime import training as training
from throughtime.cells import AffineCell as AffineCell
from throughtime.cells import Cell as Cell
from throughtime.cells import FunctionCell as FunctionCell
from throughtime.clipping import clip_gradients as clip_gradients
from throughtime.diagnosis import floss as floss
from throughtime.diagnosis import flossing_loss as flossing_loss
from throughtime.diagnosis import gradient_flow as gradient_flow
from throughtime.diagnosis import lyapunov_exponents as lyapunov_exponents
from throughtime.errors import ArgumentError as ArgumentError
from throughtime.errors import ArgumentTypeError as ArgumentTypeError
from throughtime.errors import InputFileError as InputFileError
from throughtime.errors import NonFiniteError as NonFiniteError
from throughtime.errors import RunFolderError as RunFolderError
from throughtime.errors import ThroughtimeError as ThroughtimeError
from throughtime.errors import UnsupportedError as UnsupportedError
from throughtime.errors import WrongGradientError as WrongGradientError
from throughtime.gradients import BPTT as BPTT
from throughtime.gradients import RFLO as RFLO
from throughtime.gradients import RTRL as RTRL
from throughtime.gradients import UORO as UORO
from throughtime.gradients import CheckpointedBPTT as CheckpointedBPTT
from throughtime.gradients import DoubleSum as DoubleSum
from throughtime.gradients import EProp as EProp
from throughtime.gradients import ParallelScan as ParallelScan
from throughtime.gradients import SnAp as SnAp
from throughtime.gradients import TruncatedBPTT as TruncatedBPTT
from throughtime.layers import GRU as GRU
from throughtime.layers import LSTM as LSTM
from throughtime.layers import RNN as RNN
from throughtime.layers import FeedbackLinear as FeedbackLinear
from throughtime.layers import Recurrent as Recurrent
from throughtime.layers import tap as tap
from throughtime.models import checkpointed_backward as checkpointed_backward
from throughtime.models import gradient_bias as gradient_bias
from throughtime.online import OnlineLearner as OnlineLearner
from throughtime.verification import verify_gradients as verify_gradients

__all__ = [
    "AffineCell",
    "ArgumentError",
    "ArgumentTypeError",
    "BPTT",
    "Cell",
    "CheckpointedBPTT",
    "DoubleSum",
    "EProp",
    "FeedbackLinear",
    "FunctionCell",
    "GRU",
    "InputFileError",
    "LSTM",
    "NonFiniteError",
    "OnlineLearner",
    "ParallelScan",
    "RFLO",
    "RNN",
    "RTRL",
    "Recurrent",
    "RunFolderError",
    "SnAp",
    "ThroughtimeError",
    "TruncatedBPTT",
    "UORO",
    "UnsupportedError",
    "WrongGradientError",
    "checkpointed_backward",
    "clip_gradients",
    "data",
    "diagnosis",
    "floss",
    "flossing_loss",
    "gradient_bias",
    "gradient_flow",
    "losses",
    "lyapunov_exponents",
    "tap",
    "training",
    "verify_gradients",
]
