"""A cell made from any function f(parameters, x, h)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jacrev, vjp, vmap

from throughtime.cells.base import Cell, check_size
from throughtime.errors import ArgumentError
from throughtime.torch_internals import transforms_active
from throughtime.types import Parameters, State


@dataclass(frozen=True, eq=False)
class FunctionCell(Cell):
    """Any recurrence written as a plain function; its derivatives come from `torch.func`.

    Args:
        function: f(parameters, x, h) -> h, on a batch of rows: x [batch, input], h [batch, hidden]. It must treat
            every row for itself (no mean over the batch: the gradient would be wrong, and nothing would say so) and
            must draw no random numbers, because it is run again in the backward pass. With several state members h is
            a tuple in the order of `hidden_size`'s keys, and a tuple is returned.
        parameters: the initial value of each parameter, by name. Whatever is to be trained must be here: a tensor
            that requires a gradient and is captured by the function instead is refused.
        hidden_size: the state's size, or name → size for several members, the output first.
        input_size: features of x_t.
        linear, diagonal: whether the function has these properties, see `Cell`; `ParallelScan` makes use of them. A
            claim that does not hold is refused when the function is first run.

    Examples:
        >>> leaky = FunctionCell(lambda p, x, h: 0.9 * h + x @ p["w"].T, {"w": torch.randn(5, 3)}, 5, input_size=3)
        >>> leaky.state_sizes
        {'h': 5}
    """

    function: Callable[[Parameters, Tensor, Any], Any]
    parameters: Mapping[str, Tensor]
    hidden_size: int | Mapping[str, int]
    input_size: int
    linear: bool = field(default=False, kw_only=True)  # type: ignore[assignment]  (a property of other cells)
    diagonal: bool = field(default=False, kw_only=True)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        check_size("input_size", self.input_size, least=0)
        if not isinstance(self.hidden_size, int | Mapping) or not self.state_sizes:
            raise ArgumentError(
                f"hidden_size is {self.hidden_size!r}; it must be a size, or name → size for each member"
            )
        for name, size in self.state_sizes.items():
            check_size("hidden_size" if isinstance(self.hidden_size, int) else f"hidden_size[{name!r}]", size, least=1)
        if not isinstance(self.parameters, Mapping):
            raise ArgumentError(
                f"parameters is a {type(self.parameters).__name__}; it must be a mapping, name → tensor"
            )
        for name, value in self.parameters.items():
            floating = isinstance(value, Tensor) and value.is_floating_point()
            if not floating or not isinstance(name, str) or not name.isidentifier():
                came = value.dtype if isinstance(value, Tensor) else type(value).__name__
                raise ArgumentError(
                    f"parameters[{name!r}] is a {came}; each must be a floating-point tensor under a plain name"
                )

    @property
    def state_sizes(self) -> Mapping[str, int]:
        return {"h": self.hidden_size} if isinstance(self.hidden_size, int) else self.hidden_size

    def initial_parameters(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> dict[str, Tensor]:
        """Copies of the values given."""
        return {name: value.detach().clone().to(device, dtype) for name, value in self.parameters.items()}

    def project(self, parameters: Parameters, x: Float[Tensor, "*rows input"]) -> Float[Tensor, "*rows projected"]:
        self._check(parameters, x)
        return x

    def advance(
        self, parameters: Parameters, projected: Float[Tensor, "batch projected"], state: State
    ) -> tuple[State, tuple[Tensor, ...]]:
        return self._call(parameters, projected, state), (projected, *state)

    def pull_back(
        self, parameters: Parameters, residuals: tuple[Tensor, ...], cotangent: State
    ) -> tuple[tuple[Tensor, ...], State]:
        x, *state = residuals
        pull = vjp(lambda s: _anew(self._call(parameters, x, s)), tuple(state))[1]
        return cotangent, pull(cotangent)[0]

    def accumulate(
        self,
        parameters: Parameters,
        x: Float[Tensor, "rows input"],
        entering: State,
        errors: tuple[Tensor, ...],
        needs_x: bool,
    ) -> tuple[dict[str, Tensor], Float[Tensor, "rows input"] | None]:
        if needs_x:
            return vjp(lambda p, rows: _anew(self._call(p, rows, entering)), dict(parameters), x)[1](errors)
        return vjp(lambda p: _anew(self._call(p, x, entering)), dict(parameters))[1](errors)[0], None

    def state_jacobian(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State
    ) -> Float[Tensor, "batch size size"]:
        return vmap(jacrev(lambda s, row: self._row(parameters, row, s)))(torch.cat(state, dim=-1), x)

    def input_jacobian(
        self, parameters: Parameters, x: Float[Tensor, "batch input"], state: State
    ) -> Float[Tensor, "batch size input"]:
        return vmap(jacrev(lambda row, s: self._row(parameters, row, s)))(x, torch.cat(state, dim=-1))

    def add_immediate(
        self,
        parameters: Parameters,
        x: Float[Tensor, "batch input"],
        state: State,
        influence: Mapping[str, Tensor],
        mix: Float[Tensor, "batch rows size"] | None = None,
    ) -> None:
        by_parameter = vmap(jacrev(self._row), in_dims=(None, 0, 0))(dict(parameters), x, torch.cat(state, dim=-1))
        for name, value in by_parameter.items():
            influence[name].add_(value if mix is None else torch.einsum("brs,bs...->br...", mix, value))

    def _call(self, parameters: Parameters, x: Tensor, state: State) -> State:
        single = len(state) == 1
        new = self.function(parameters, x, state[0] if single else state)
        return (new,) if single or not isinstance(new, tuple | list) else tuple(new)

    def _row(self, parameters: Parameters, x: Tensor, flat_state: Tensor) -> Tensor:
        """One row's step on the flattened state: [input], [S] → [S]."""
        state = flat_state.split(list(self.state_sizes.values()), dim=-1)
        return torch.cat(self._call(parameters, x[None], tuple(member[None] for member in state)), dim=-1)[0]

    def _check(self, parameters: Parameters, x: Tensor) -> None:
        """A step on one row and on two, before any work: the shapes must close, and no trainable tensor be captured."""
        values, random = {name: value.detach() for name, value in parameters.items()}, torch.get_rng_state()
        for rows in (1, 2):
            state = tuple(x.new_zeros(rows, size) for size in self.state_sizes.values())
            with torch.enable_grad():
                new = self._call(values, x.new_zeros(rows, x.shape[-1]), state)
            came = [tuple(member.shape) if isinstance(member, Tensor) else type(member).__name__ for member in new]
            allowed = [tuple(member.shape) for member in state]
            if came != allowed:
                raise ArgumentError(
                    f"function returned {came} for {rows} row{'s' * (rows - 1)} with the state "
                    f"{dict(self.state_sizes)}; the new state must have the old one's shapes, {allowed}"
                )
            if any(member.requires_grad for member in new):
                raise ArgumentError(
                    "function uses a tensor that requires a gradient and is not among its parameters; its gradient "
                    "would be lost: pass it in `parameters`"
                )
        if not torch.equal(random, torch.get_rng_state()):
            raise ArgumentError(
                "function draws random numbers; it is run again in the backward pass, where they would differ and make "
                "the gradient wrong: draw them outside and pass them in as features of x"
            )
        self._check_claims(values, x)

    def _check_claims(self, parameters: Parameters, x: Tensor) -> None:
        """J_tᵀ at two irregular states: the same where the cell is linear, no mixing of entries where it is diagonal.

        Without values nothing is checked: see `sequence.check_indices`.
        """
        tracing = torch.compiler.is_compiling() or transforms_active()
        if not (self.linear or self.diagonal) or x.is_meta or tracing:
            return
        features = _irregular(x, 0, x.shape[-1])
        near, far, cotangent = (
            tuple(_irregular(x, seed + i, size) for i, size in enumerate(self.state_sizes.values()))
            for seed in (10, 20, 30)
        )
        ones = tuple(map(torch.ones_like, cotangent))
        pulled, elsewhere, diagonals = (
            torch.cat(self.pull_back(parameters, (features, *state), g)[1], dim=-1)
            for state, g in ((near, cotangent), (far, cotangent), (near, ones))
        )
        if self.linear and not _equal(pulled, elsewhere):
            raise ArgumentError(
                "linear=True, but the function's derivative by the state depends on the state: leave linear out"
            )
        if self.diagonal and not _equal(pulled, diagonals * torch.cat(cotangent, dim=-1)):
            raise ArgumentError(
                "diagonal=True, but some entry of the new state depends on another entry of the old one: leave "
                "diagonal out"
            )


def _anew(state: State) -> State:
    """The same values as new tensors: `torch.func` loses track of an input that a function returns as it came."""
    return tuple(member.view_as(member) for member in state)


def _irregular(like: Tensor, seed: int, size: int) -> Tensor:
    """Two rows of numbers between -2 and 2 without a pattern, and without torch's generator."""
    at = torch.arange(2 * size, device=like.device).view(2, size)
    return (2 * torch.sin(12.9898 * at + 78.233 * seed + 1)).to(like.dtype)


def _equal(a: Tensor, b: Tensor) -> bool:
    """Up to rounding."""
    return torch.allclose(a, b, rtol=torch.finfo(a.dtype).eps ** 0.5, atol=torch.finfo(a.dtype).eps ** 0.5)
