"""Recurrent layers with torch.nn's interface, over any cell and any gradient method."""

from throughtime.layers.base import RecurrentLayer as RecurrentLayer
from throughtime.layers.feedback import FeedbackLinear as FeedbackLinear
from throughtime.layers.gru import GRU as GRU
from throughtime.layers.lstm import LSTM as LSTM
from throughtime.layers.recurrent import Recurrent as Recurrent
from throughtime.layers.rnn import RNN as RNN
from throughtime.layers.tap import tap as tap
