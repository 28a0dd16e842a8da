"""Cells: a step of a recurrence and its derivatives, in a file per cell."""

from throughtime.cells.affine import AffineCell as AffineCell
from throughtime.cells.base import ActivationValues as ActivationValues
from throughtime.cells.base import Cell as Cell
from throughtime.cells.base import KeepBias as KeepBias
from throughtime.cells.elman import ElmanCell as ElmanCell
from throughtime.cells.function import FunctionCell as FunctionCell
from throughtime.cells.gru import GRUCell as GRUCell
from throughtime.cells.loop import Loop as Loop
from throughtime.cells.lstm import LSTMCell as LSTMCell
from throughtime.cells.recurrence import Recurrence as Recurrence
