"""Whole models: gradients in little memory, bias of a method, recorded runs, evaluation without changes."""

from throughtime.models.bias import gradient_bias as gradient_bias
from throughtime.models.checkpointed_backward import checkpointed_backward as checkpointed_backward
