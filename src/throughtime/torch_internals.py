"""Private names of torch that throughtime uses, each with the reason.

No other module uses a private name of torch. `tests/test_torch_internals.py` checks the behaviour that we rely on for
every name here, so that a change in a new version of torch fails a test with that name.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor as FakeTensor  # tensors of FakeTensorMode, without a public name
from torch.utils._python_dispatch import TorchDispatchMode as TorchDispatchMode  # the base of modes has no public name

Function = TypeVar("Function", bound=Callable)

# Looked up once: they are asked in every call of a layer.
_dispatch_modes = torch._C._len_torch_dispatch_stack
_tracing_state = torch._C._get_tracing_state
_dispatches_to, _PRE_DISPATCH = torch._C._dispatch_tls_is_dispatch_key_included, torch._C.DispatchKey.PreDispatch


def constant_when_compiled(function: Function) -> Function:
    """Mark a function whose result torch.compile takes as a constant.

    torch.compiler.assume_constant_result sets the same mark, and imports the whole compiler, which takes seconds.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def transforms_active() -> bool:
    """Return whether a transform of torch.func, such as vmap or grad, is active.

    Inside of a transform tensors have no values to look at, and an autograd.Function needs rules that ours lack. torch
    has no public function for this.
    """
    return torch._C._are_functorch_transforms_active()


def operators_watched() -> bool:
    """Return whether something sees or records PyTorch's operators in eager mode.

    That is a dispatch mode (make_fx, FakeTensorMode, FlopCounterMode) or torch.jit.trace. Work that is done past
    PyTorch's operators is missing in what they see. torch has no public function for the first two.
    """
    # The last is make_fx(pre_dispatch=True).
    return _dispatch_modes() > 0 or _tracing_state() is not None or _dispatches_to(_PRE_DISPATCH)


def jit_is_tracing() -> bool:
    """Return whether torch.jit.trace records. torch's own function has no public name."""
    return _tracing_state() is not None


is_zero_tensor: Callable[[Tensor], bool] = Tensor._is_zerotensor
"""Return whether a tensor is one of autograd's zeros, which have no memory. torch has no public function.

A function of ours around it would double its cost, and it is asked of every tensor of every call.
"""


def has_memory(tensor: Tensor) -> bool:
    """Return whether a tensor's elements lie in a storage of its own.

    The tensors that is_grads_batched and vmap hand over have none, and their class is torch.Tensor as well. torch has
    no public function that tells.
    """
    try:
        tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):
        return False
    return True


def forward_mode_active() -> bool:
    """Return whether a level of forward-mode differentiation is open.

    An autograd.Function without a rule for forward mode raises inside. torch has no public function for this.
    """
    return forward_ad._current_level >= 0


def assert_later(condition: Tensor, message: str) -> None:
    """Check a condition that has no value yet, as in a traced graph.

    A plain `assert` would look at the value, which breaks the graph. The public `torch._check` takes no tensors.

    Args:
        condition: a tensor of a single boolean.
        message: message of the error.

    Raises:
        RuntimeError: the condition is false; on a CUDA device a later operation raises.
    """
    torch._assert_async(condition, message)  # pyright: ignore[reportPrivateImportUsage]


def times_changed(tensor: Tensor) -> int:
    """Return how often a tensor was changed in place, by itself or through a view.

    Autograd compares this number to refuse a saved tensor that was changed. torch has no public name for this number.
    """
    return tensor._version


def is_expanded_weight(value: object) -> bool:
    """Return whether a parameter stands for one copy per sample, in torch's own per-sample gradients.

    Such a parameter answers to a few functions of torch.nn's layers, and to no other. The class has no public name.
    """
    return type(value).__name__ == "ExpandedWeight"
