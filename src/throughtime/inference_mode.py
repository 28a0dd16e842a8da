"""Tools that record graphs, wherever they are called from."""

import functools
import itertools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from throughtime.errors import UnsupportedError
from throughtime.nests import leaves_of, map_tensors, tensors_of

P = ParamSpec("P")
R = TypeVar("R")


def records_graphs(tool: Callable[P, R]) -> Callable[P, R]:
    """Make a tool record graphs inside torch.inference_mode() and torch.no_grad() too.

    Lightning calls the hooks of validations and tests inside torch.inference_mode(). Inference tensors among the
    arguments are copied, because no graph can save them.

    Raises:
        UnsupportedError: when called with a module that was built inside torch.inference_mode().
    """

    @functools.wraps(tool)
    def recording(*arguments: P.args, **keywords: P.kwargs) -> R:
        with torch.inference_mode(False), torch.enable_grad():
            given = (arguments, keywords)
            for _, leaf in leaves_of(given):
                if isinstance(leaf, nn.Module):
                    check_built_outside(leaf)
            if any(tensor.is_inference() for tensor in tensors_of(given)):
                arguments, keywords = map_tensors(ordinary, given)
            return tool(*arguments, **keywords)

    return recording


def check_built_outside(model: nn.Module) -> None:
    """Raise `UnsupportedError` if a model has a parameter or buffer that is an inference tensor."""
    for name, value in itertools.chain(model.named_parameters(), model.named_buffers()):
        if not is_lazy(value) and value.is_inference():
            raise UnsupportedError(
                f"model's tensor {name!r} was made inside torch.inference_mode(), and can be neither differentiated "
                "nor changed outside: build the model, or copy.deepcopy it, outside"
            )


def ordinary(tensor: Tensor) -> Tensor:
    """Copy an inference tensor; return any other as it is."""
    return tensor.clone() if tensor.is_inference() else tensor
