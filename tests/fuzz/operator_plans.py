"""One call of the operators with arguments that nobody has checked; compared with the loop on plain tensors.

`recurrence` and `recurrence_backward` may be called by anybody, in any graph, with anything that fits their schema.
"""

from dataclasses import dataclass
from typing import Any

import torch
from fuzz.forms import NoValues, changed, in_order, plain
from fuzz.selecting import selected
from fuzz.verdicts import REFUSED, RIGHT, attempt, of_error, of_results
from torch import Tensor

from throughtime.cells import ElmanCell, GRUCell, LSTMCell
from throughtime.cells.recurrence import Recurrence
from throughtime.kernels import operators
from throughtime.kernels.compiled import Sizes
from throughtime.sequences import Cotangents, Sequence, StepNorms

CELLS = {
    "elman_tanh": lambda i, h, p, bias: ElmanCell(i, h, bias=bias),
    "elman_relu": lambda i, h, p, bias: ElmanCell(i, h, bias=bias, nonlinearity="relu"),
    "gru": lambda i, h, p, bias: GRUCell(i, h, bias=bias),
    "lstm": lambda i, h, p, bias: LSTMCell(i, h, bias=bias, proj_size=p),
}
LISTS = ("initial", "reset_state", "weights", "trace", "d_final")
"""Arguments that are lists of tensors."""

SCALARS = {
    "name": ("", "gru", "lstm", "elman_tanh", "no_such_cell", "gru_forward"),
    "reverse": (True, False),
    "save": ("", "gates", "states", "all"),
    "clip_step": (0.0, 0.5, -1.0, float("nan"), float("inf")),
}
"""Values of the other arguments, right and wrong."""


@dataclass(frozen=True)
class OperatorPlan:
    """Right arguments, and changes: of an argument to a value, of a tensor to a form, of a list to another length."""

    cell: str = "gru"
    dtype: str = "float32"
    sizes: tuple[int, int, int, int] = (3, 2, 3, 5)
    bias: bool = True
    proj_size: int = 0
    indices: bool = False
    lengths: tuple[int, ...] | None = None
    packed: bool = False
    resets: bool = False
    reverse: bool = False
    save: str = "gates"
    clip_step: float = 0.0
    backward: bool = False
    changes: tuple[tuple[str, Any], ...] = ()
    seed: int = 0

    def _numbers(self, *shape: int) -> Tensor:
        return (
            torch.randn(*shape, generator=self._generator)
            .mul(0.8 / self.sizes[3] ** 0.5)
            .to(getattr(torch, self.dtype))
        )

    def right(self) -> tuple[Any, dict[str, Any]]:
        """The cell, and the arguments of `recurrence`."""
        object.__setattr__(self, "_generator", torch.Generator().manual_seed(self.seed))
        steps, rows, features, hidden = self.sizes
        cell = CELLS[self.cell](features, hidden, self.proj_size, self.bias)
        states = [self._numbers(rows, size) for size in cell.state_sizes.values()]
        weights = [self._numbers(*value.shape) for value in cell.initial_parameters(None, None).values()]
        lengths = None if self.lengths is None else torch.tensor(self.lengths)
        batch_sizes, shape = None, (steps, rows)
        if self.packed and lengths is not None:
            lengths = lengths.sort(descending=True).values
            batch_sizes = (torch.arange(steps)[:, None] < lengths).sum(1)
            shape = (int(batch_sizes.sum()),)
        x = self._numbers(*shape, features)
        if self.indices:
            x = torch.randint(0, max(features, 1), shape, generator=self._generator)
        resets = torch.rand(steps, rows, generator=self._generator) < 0.3 if self.resets else None
        if resets is not None and lengths is not None:
            resets = resets & (torch.arange(steps)[:, None] < lengths)
        return cell, {
            "name": self.cell,
            "x": x,
            "initial": states,
            "reset_state": [self._numbers(*state.shape) for state in states] if self.resets else [],
            "weights": weights,
            "lengths": lengths,
            "resets": resets,
            "batch_sizes": batch_sizes,
            "reverse": self.reverse,
            "save": self.save,
            "clip_step": self.clip_step,
        }

    def with_backward(self, cell: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments of `recurrence_backward` too, from a forward pass with the right ones."""
        y, *rest = operators.recurrence(**arguments)
        members = len(arguments["initial"])
        cotangents = [self._numbers(*value.shape) for value in (y, *rest[:members])]
        return arguments | {"trace": [y, *rest[members:]], "d_outputs": cotangents[0], "d_final": cotangents[1:]}

    def change(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments with the changes: ("x", form), ("weights 1", form), ("initial", "dropped"), ("save", "all")."""
        # Copies: a form may write.
        made = {name: [*map(_copied, value)] if name in LISTS else _copied(value) for name, value in arguments.items()}
        for place, form in in_order(self.changes):
            name, _, index = place.partition(" ")
            if name not in made:
                continue
            if name in SCALARS:
                made[name] = form
            elif name in LISTS and form == "dropped":
                made[name] = made[name][:-1]
            elif name in LISTS and form == "doubled":
                made[name] = made[name] * 2
            elif name in LISTS and made[name]:
                at = int(index or 0) % len(made[name])
                value = changed(made[name][at], form)
                made[name][at] = value if isinstance(value, Tensor) else made[name][at]
            elif isinstance(made[name], Tensor):
                value = changed(made[name], form)
                made[name] = value if isinstance(value, Tensor) or name != "x" else made[name]
        return made


def _results(plan: OperatorPlan, cell: Any, arguments: dict[str, Any]) -> dict[str, Tensor]:
    if plan.backward:
        results = torch.ops.throughtime.recurrence_backward(**arguments)
    else:
        results = torch.ops.throughtime.recurrence(**arguments)[: 1 + len(cell.state_sizes)]
    return {str(index): value.detach() for index, value in enumerate(results)}


def _reference(plan: OperatorPlan, arguments: dict[str, Any], right: dict[str, Any]) -> Any:
    """The loop's results on plain tensors; REFUSED where an argument does not fit, None where nothing is right."""
    try:
        made = {k: [plain(v) for v in value] if k in LISTS else plain(value) for k, value in arguments.items()}
    except NoValues:
        return REFUSED
    if _misfit(plan, made, right):
        return REFUSED
    if _unforeseen(plan, made, right):
        return None
    features, hidden = _features(plan, made), plan.sizes[3]
    cell = CELLS[made["name"]](features, hidden, plan.proj_size, len(made["weights"]) > 2)
    names = Sizes.of_weights(made["initial"], made["weights"]).shapes
    parameters = dict(zip(names, made["weights"], strict=True))
    x = made["x"]
    if plan.indices and not features:  # none is valid; there may be none
        x = torch.zeros(*x.shape, 0, dtype=getattr(torch, plan.dtype))
    states, masks = (made["initial"], made["reset_state"]), (made["lengths"], made["resets"], made["batch_sizes"])
    one_hot = features if plan.indices else 0
    sequence = Sequence(x, *map(tuple, states), *masks, made["reverse"], one_hot)
    looped = Recurrence(cell, parameters, sequence).looped()
    result = looped.forward("gates")
    if not plan.backward:
        return {str(i): v for i, v in enumerate((sequence.from_plain(result.outputs), *result.final))}
    cotangents = Cotangents(sequence.to_plain(made["d_outputs"]), tuple(made["d_final"]), not plan.indices)
    gradients = looped.backward(result.trace, cotangents, StepNorms(made["clip_step"] or None))
    d_x = [] if plan.indices else [sequence.from_plain(gradients.x)]
    at_rest = () if made["resets"] is None else made["reset_state"]
    d_reset = gradients.reset_state or tuple(map(torch.zeros_like, at_rest))
    all_of_them = [*d_x, *gradients.initial, *d_reset, *(gradients.parameters[name] for name in names)]
    return {str(i): v for i, v in enumerate(all_of_them)}


def _misfit(plan: OperatorPlan, made: dict[str, Any], right: dict[str, Any]) -> bool:
    """Whether any argument is not of the shape, dtype and range of the right ones."""
    sizes, usual = made["batch_sizes"], right["batch_sizes"]
    if isinstance(sizes, Tensor) and usual is not None and sizes.dim() == 1 and sizes.dtype == usual.dtype:
        if torch.equal(sizes[sizes > 0], usual[usual > 0]) and len(sizes) > len(usual):
            made = made | {"batch_sizes": usual}  # further steps of no rows are none
    for name, value in right.items():
        if name == "weights" and len(made[name]) == 2:  # both biases dropped: a cell without them
            value = value[:2]
        if name == "weights" and plan.indices:  # whose number of inputs W_ih alone tells
            value = [value[0].new_empty(len(value[0]), _features(plan, made)), *value[1:]]
        if name in LISTS and len(made[name]) != len(value):
            return True
        for one, like in zip(made[name], value, strict=True) if name in LISTS else [(made[name], value)]:
            optional = one is None and (name == "resets" or name == "lengths" and not plan.packed)
            # Without resets, packed rows or a trace nothing else says how many steps there are.
            any_steps = name == "x" and not plan.packed and made["resets"] is None and not plan.backward
            fits = isinstance(one, Tensor) and one.dim() == like.dim() and one.dtype == like.dtype
            fits = fits and one.shape[any_steps:] == like.shape[any_steps:]
            if isinstance(like, Tensor) and not optional and not fits:
                return True
    lengths, x, clip_step = made["lengths"], made["x"], made["clip_step"]
    if plan.packed and not all(torch.equal(made[name], right[name]) for name in ("lengths", "batch_sizes")):
        return True
    if lengths is not None and bool(((lengths < 0) | (lengths > _steps(plan, x))).any()):
        return True
    outside = plan.indices and bool(((x < 0) | (x >= _features(plan, made))).any())
    alike = made["name"] == right["name"] or {made["name"], right["name"]} <= {"elman_tanh", "elman_relu"}
    wrong = not alike or made["save"] not in ("", "gates", "states")
    return outside or wrong or plan.backward and not 0 <= clip_step < float("inf")


def _features(plan: OperatorPlan, made: dict[str, Any]) -> int:
    first = made["weights"][0]
    return first.shape[1] if plan.indices and first.dim() == 2 else plan.sizes[2]


def _steps(plan: OperatorPlan, x: Tensor) -> int:
    return plan.sizes[0] if plan.packed else len(x)


def _unforeseen(plan: OperatorPlan, made: dict[str, Any], right: dict[str, Any]) -> bool:
    """Whether nobody says what is right.

    That is so of resets in padding, of a trace that is not the forward pass's own, and of columns that an index does
    not select and that are not finite.
    """
    same_lengths = made["lengths"] is not None and torch.equal(made["lengths"], right["lengths"])
    padded = right["lengths"] is not None
    if plan.resets and padded and not (same_lengths and _same(_tensors(made["resets"]), _tensors(right["resets"]))):
        return True
    if plan.indices and padded and not torch.equal(made["x"], right["x"]):  # anything may stand in the padding
        return True
    if plan.indices and not made["weights"][0].isfinite().all():  # the loop's one-hot vectors make 0 · ∞ of it
        return True
    names = set(right) - {"d_outputs", "d_final", "clip_step"}
    if plan.backward and (made["name"], made["reverse"]) != (right["name"], right["reverse"]):
        return True
    return plan.backward and not all(_same(_tensors(made[name]), _tensors(right[name])) for name in names)


def _tensors(value: Any) -> list[Tensor]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, Tensor)]


def _same(some: list[Tensor], others: list[Tensor]) -> bool:
    return len(some) == len(others) and all(map(torch.equal, some, others))


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def verdict(plan: OperatorPlan, stage: Any = lambda number: None) -> str:
    """The judgement of the operator's answer, see verdicts.py. `stage` is told when the loop alone is at work."""
    cell, right = plan.right()
    if plan.backward:
        right = attempt(lambda: plan.with_backward(cell, right))
        if isinstance(right, BaseException):
            return of_error(right)
    given = plan.change(right)
    ours = attempt(lambda: _results(plan, cell, given))
    if isinstance(ours, BaseException):
        return of_error(ours)
    stage(1)
    cell, right = plan.right()
    right = plan.with_backward(cell, right) if plan.backward else right
    made = plan.change(right)
    expected = _reference(plan, made, right)
    if expected is None:
        return RIGHT
    weight_ih = str(len(given["initial"]) + len(given["reset_state"]) * (given["resets"] is not None))
    names = [weight_ih] if plan.indices and plan.backward else []
    exact = selected(lambda: _reference(plan, made, right), expected, names)
    # The state of no other cell is unbounded.
    huge = given["name"] == "elman_relu" and any(form == "huge" for _, form in plan.changes)
    return of_results(ours, expected, getattr(torch, plan.dtype), selected=exact, may_overflow=huge)
