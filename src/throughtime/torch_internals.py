"""Private names of torch that throughtime uses, each with the reason.

No other module uses a private name of torch. `tests/test_torch_internals.py` checks what we rely on for every name
here, so that a new version of torch that changes one fails by that name.
"""

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode as TorchDispatchMode  # the base of modes has no public name

# torch.utils.pytree does not exist; the private module is what torch.func and torch.export walk nests with.
from torch.utils._pytree import TreeSpec as TreeSpec
from torch.utils._pytree import tree_flatten as tree_flatten
from torch.utils._pytree import tree_leaves as tree_leaves
from torch.utils._pytree import tree_unflatten as tree_unflatten


def transforms_active() -> bool:
    """Return whether a transform of torch.func, such as vmap or grad, is at work.

    Inside of one, tensors have no values to look at, and an autograd.Function needs rules that ours lack. torch has
    no public question for it.
    """
    return torch._C._are_functorch_transforms_active()


def forward_mode_active() -> bool:
    """Return whether a level of forward-mode differentiation is open.

    An autograd.Function without a rule for forward mode raises there. torch has no public question for it.
    """
    return forward_ad._current_level >= 0


def assert_later(condition: Tensor, message: str) -> None:
    """Check a condition that is not known yet, such as one in a graph that is being traced.

    A plain `assert` would look at the value, which breaks the graph. The public `torch._check` takes no tensors.

    Args:
        condition: one boolean.
        message: what the error says.

    Raises:
        RuntimeError: the condition is false; on a CUDA device at a later operation.
    """
    torch._assert_async(condition, message)  # pyright: ignore[reportPrivateImportUsage]


def times_changed(tensor: Tensor) -> int:
    """Return how often a tensor was changed in place, by itself or through a view.

    Autograd compares this number to refuse a saved tensor that was changed. torch has no public name for it.
    """
    return tensor._version
