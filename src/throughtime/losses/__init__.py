"""Losses over sequences: pure functions of [T, B, …] tensors that count valid steps only."""

from throughtime.losses.elementwise import bernoulli as bernoulli
from throughtime.losses.elementwise import squared_error as squared_error
from throughtime.losses.sequence import sequence_loss as sequence_loss
from throughtime.losses.softmax import cross_entropy as cross_entropy
from throughtime.losses.softmax import softmax_squared_error as softmax_squared_error
