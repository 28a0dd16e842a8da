"""Comparison of automatic differentiation with central differences, element by element."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from throughtime.checks import is_real, is_whole
from throughtime.errors import ArgumentError, UnsupportedError, WrongGradientError
from throughtime.inference_mode import records_graphs
from throughtime.verification.differences import HALVINGS, STEP_SIZE, Line, judge
from throughtime.verification.report import GradientCheck, Place, TensorCheck
from throughtime.verification.subject import Subject, kept_random_state


@records_graphs
def verify_gradients(
    model: nn.Module | Callable[..., Any],
    *inputs: Any,
    loss: Callable[[Any], Any] | None = None,
    parameters: Mapping[str, Tensor] | None = None,
    keywords: Mapping[str, Any] | None = None,
    step: float | None = None,
    tolerance: float = 1e-6,
    samples: int | None = 100,
    seed: int = 0,
    raise_on_failure: bool = False,
) -> GradientCheck:
    """Compare the derivatives of a module or function by PyTorch with central differences, in float64.

    Every parameter that asks for a gradient and every floating tensor among the inputs is compared. A module is copied
    and the copy is made float64; the module itself, its gradients, its mode and its buffers stay as they are, and so
    does the random state. Before each evaluation random numbers and buffers are set to the same state, so that dropout
    drops the same units each time and is verified too.

    Args:
        model: a module, or a function of tensors.
        inputs: positional arguments of the model: nests of tensors; floating tensors are converted to float64.
        loss: from the output to the value to differentiate. Default: the sum of all floating numbers of the output,
            each with a fixed random weight, so that no error can cancel another.
        parameters: for a function: the float64 tensors that the function reads besides its inputs, by name. They are
            changed in place and restored, to the bit. The parameters of a module need no mention.
        keywords: keyword arguments of the model, for example {"lengths": [5, 3]}; none of them is compared.
        step: the step h of the fourth-order formula; half of it is tried too. None: about 1e-3, times the size of the
            element where the size is above 1, halved until the result settles.
        tolerance: the allowed difference, relative to the derivative; an allowance for rounding is added.
        samples: the most elements of a tensor that are compared. Of a larger tensor so many are drawn at random, and a
            random direction through all elements is compared too; where only the direction disagrees, the wrong
            element is searched by halving. The report says how many were compared. None: all.
        seed: for the weights, the samples and the random state during the evaluations.
        raise_on_failure: raise the report's sentence as an error, in place of returning a report that is not `ok`.

    Returns:
        The report: `ok`, the worst place, each tensor's largest error; `str()` is a table. A kink (ReLU at 0) is no
        failure where the automatic derivative lies between the one-sided ones; it is listed, not counted as compared.

    Raises:
        WrongGradientError: derivatives disagree, with `raise_on_failure`; it names the element and both values.
        ArgumentError: an option is out of range, or there is no floating tensor to compare or to differentiate.
        NonFiniteError: a parameter, an input or an output is not finite at the place of the check.
        UnsupportedError: two evaluations at the same place differ, the output has no graph, it is not float64, there
            are complex tensors, or the module cannot be copied.

    Cost: four forward passes for each element compared, about 20 where the derivative is wrong, up to 90 near a kink.
    Not for large models: make a small model of the same kind.

    Examples:
        >>> report = tt.verify_gradients(tt.GRU(2, 3), torch.randn(4, 2, 2))
        >>> report.ok, report.worst.error < 1e-9
        (True, True)
    """
    _check_options(step, tolerance, samples)
    with kept_random_state():
        subject = Subject(model, inputs, dict(keywords or {}), loss, parameters, seed)
        try:
            verification = _Verification(subject, step, tolerance, samples, seed)
            report = GradientCheck(verification.tensor_checks(), tolerance, subject.frozen, verification.unnamed)
        finally:
            subject.put_back()
    if raise_on_failure and not report.ok:
        raise WrongGradientError(report.sentence)
    return report


def _check_options(step: float | None, tolerance: float, samples: int | None) -> None:
    if step is not None and not (is_real(step) and 0 < step < math.inf):
        raise ArgumentError("step", f"is {step!r}", "it must be a positive finite number, or None to have it chosen")
    if not (is_real(tolerance) and 0 < tolerance < 1):
        raise ArgumentError("tolerance", f"is {tolerance!r}", "it must be above 0 and below 1")
    if samples is not None and not is_whole(samples, least=1):
        raise ArgumentError(
            "samples", f"is {samples!r}", "it must be a whole number of at least 1, or None for all elements"
        )


class _Verification:
    """Comparisons of all tensors of a subject.

    Attributes:
        unnamed: as in `GradientCheck`.
    """

    def __init__(self, subject: Subject, step: float | None, tolerance: float, samples: int | None, seed: int) -> None:
        self._subject, self._tolerance, self._samples = subject, tolerance, samples
        self._step, self._halvings = (STEP_SIZE, HALVINGS) if step is None else (step, 1)
        self._relative = step is None
        self._generator = torch.Generator().manual_seed(seed)
        self._gradients, self.unnamed = self._automatic()

    def _automatic(self) -> tuple[dict[str, Tensor], int]:
        """Differentiate by PyTorch, after a check that two evaluations agree.

        Returns:
            The gradient of each tensor, by its name; and the number of other leaves of the graph.
        """
        # In this order: the second evaluation puts the buffers back, which the graph of the first may hold.
        before, parts = self._subject.parts().detach(), self._subject.parts()
        self._subject.check_same(before, parts.detach())
        if not parts.requires_grad:
            raise UnsupportedError(
                "The output depends on no parameter and no input by operations that PyTorch differentiates: look for "
                "detach(), no_grad(), .item(), numpy or argmax in between."
            )
        tensors = self._subject.tensors
        unnamed = len(_leaves(parts) - {id(tensor) for tensor in tensors.values()})
        gradients = torch.autograd.grad(parts.sum(), list(tensors.values()), allow_unused=True)
        # Where no path leads to a tensor its derivative is 0, which the differences will confirm or not.
        by_name = {
            name: torch.zeros_like(tensor) if gradient is None else gradient.detach().to_dense()
            for (name, tensor), gradient in zip(tensors.items(), gradients, strict=True)
        }
        return by_name, unnamed

    def tensor_checks(self) -> tuple[TensorCheck, ...]:
        return tuple(
            TensorCheck(name, tuple(tensor.shape), self._places(name)) for name, tensor in self._subject.tensors.items()
        )

    def _places(self, name: str) -> tuple[Place, ...]:
        """Compare all elements of a tensor, or a sample of them and a random direction through all."""
        count = self._subject.tensors[name].numel()
        if self._samples is None or count <= self._samples:
            return tuple(self._element(name, index) for index in range(count))
        drawn = torch.randperm(count, generator=self._generator)[: self._samples].sort().values
        places = [self._element(name, int(index)) for index in drawn]
        signs = torch.randint(2, (count,), generator=self._generator, dtype=torch.float64) * 2 - 1
        direction = self._along(name, signs)
        if direction.failed and not any(place.failed for place in places):
            places += self._search(name, signs)
        return (*places, direction)

    def _search(self, name: str, signs: Tensor) -> list[Place]:
        """Search by halving for the element that makes a direction fail. The list is empty where no half fails."""
        indices = torch.arange(len(signs))
        while len(indices) > 1:
            halves = [(half, self._along(name, _only(signs, half))) for half in indices.tensor_split(2)]
            failing = [(half, place) for half, place in halves if place.failed]
            if not failing:
                return []
            indices = max(failing, key=lambda pair: pair[1].error)[0]
        place = self._element(name, int(indices[0]))
        return [place] if place.failed else []

    def _element(self, name: str, index: int) -> Place:
        direction = torch.zeros(self._subject.tensors[name].numel(), dtype=torch.float64)
        direction[index] = 1
        shape = tuple(self._subject.tensors[name].shape)
        place = [int(entry) for entry in torch.unravel_index(torch.tensor(index), shape)] if shape else []
        return self._compare(name, direction, tuple(place))

    def _along(self, name: str, signs: Tensor) -> Place:
        return self._compare(name, signs / signs.norm(), None)

    def _compare(self, name: str, direction: Tensor, index: tuple[int, ...] | None) -> Place:
        base = self._subject.base[name]
        direction = direction.view(base.shape).to(base.device)
        automatic = _inner(self._gradients[name], direction)
        size = max(1.0, abs(_inner(base, direction))) if self._relative else 1.0
        # A step of the default STEP_SIZE, times a power of 2, remains a power of 2, which is added without rounding.
        step = self._step * 2.0 ** math.floor(math.log2(size))
        line = Line(lambda offset: self._subject.moved_parts(name, direction, offset))
        judgement = judge(line, automatic, step, self._halvings, self._tolerance)
        return Place(name, index, automatic, judgement.differences, judgement.uncertainty, judgement.finding)


def _inner(values: Tensor, direction: Tensor) -> float:
    """Return the inner product over the elements where the direction is not 0. Other elements may be infinite."""
    nonzero = direction != 0
    return float((values[nonzero] * direction[nonzero]).sum())


def _leaves(output: Tensor) -> set[int]:
    """Return the ids of the leaf tensors of a graph."""
    leaves: set[int] = set()
    seen, waiting = set(), [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None:
            leaves.add(id(leaf))
        waiting += [following for following, _ in node.next_functions]
    return leaves


def _only(signs: Tensor, indices: Tensor) -> Tensor:
    """Return the signs at these indices, and 0 elsewhere."""
    return torch.zeros_like(signs).index_copy(0, indices, signs[indices])
