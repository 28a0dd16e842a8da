"""Cell made from any function f(parameters, x, h)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jacrev, vjp, vmap

from throughtime.cells.base import Cell
from throughtime.checks import check_size, keep_sizes
from throughtime.errors import ArgumentError
from throughtime.torch_internals import transforms_active
from throughtime.types import Parameters, State
from throughtime.wording import plural


@dataclass(frozen=True, eq=False)
class FunctionCell(Cell):
    """Cell from a plain function, differentiated by `torch.func`.

    Args:
        function: f(parameters, x, h) -> h, on a batch of rows: x [batch, input], h [batch, hidden]. The function must
            treat rows independently (a mean over the batch would make the gradient wrong without any error) and must
            draw no random numbers, because it is run again in the backward pass. With several state members h is a
            tuple in the order of `hidden_size`'s keys, and the function returns a tuple.
        parameters: the initial value of each trainable parameter, by name. A function that captures a tensor that
            requires a gradient is refused.
        hidden_size: the state's size, or name → size for several members, the output first.
        input_size: number of features of x_t.
        linear, diagonal: whether the function has these properties, see `Cell`; `ParallelScan` makes use of them. A
            claim that does not hold is refused when the function is first run.

    Raises:
        ArgumentError: an argument is of the wrong kind; at the first run, the function breaks a rule above.

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
        keep_sizes(self, input_size=0)
        self._keep_hidden_size()
        if not isinstance(self.parameters, Mapping):
            raise ArgumentError(
                "parameters", f"is a {type(self.parameters).__name__}", "it must be a mapping, name → tensor"
            )
        for name, value in self.parameters.items():
            floating = isinstance(value, Tensor) and value.is_floating_point()
            if not floating or not isinstance(name, str) or not name.isidentifier():
                came = value.dtype if isinstance(value, Tensor) else type(value).__name__
                raise ArgumentError(
                    f"parameters[{name!r}]", f"is a {came}", "each must be a floating-point tensor under a plain name"
                )

    def _keep_hidden_size(self) -> None:
        """Check the sizes of the state's members, and keep them as plain ints."""
        if isinstance(self.hidden_size, Integral):
            keep_sizes(self, hidden_size=1)
            return
        if not isinstance(self.hidden_size, Mapping) or not self.hidden_size:
            raise ArgumentError(
                "hidden_size", f"is {self.hidden_size!r}", "it must be a size, or name → size for each member"
            )
        sizes = {name: check_size(f"hidden_size[{name!r}]", size, least=1) for name, size in self.hidden_size.items()}
        object.__setattr__(self, "hidden_size", sizes)

    @property
    def state_sizes(self) -> Mapping[str, int]:
        return {"h": self.hidden_size} if isinstance(self.hidden_size, int) else self.hidden_size

    def initial_parameters(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> dict[str, Tensor]:
        """Copy the initial values that were given."""
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
        """Run the step of a single row on the flattened state: [input], [S] → [S]."""
        state = flat_state.split(list(self.state_sizes.values()), dim=-1)
        return torch.cat(self._call(parameters, x[None], tuple(member[None] for member in state)), dim=-1)[0]

    def _check(self, parameters: Parameters, x: Tensor) -> None:
        """Check the function by a step on one row and on two, before work.

        The new state must have the old state's shapes, no trainable tensor may be captured, and no random number drawn.
        """
        values, random = {name: value.detach() for name, value in parameters.items()}, torch.get_rng_state()
        for rows in (1, 2):
            state = tuple(x.new_zeros(rows, size) for size in self.state_sizes.values())
            with torch.enable_grad():
                new = self._call(values, x.new_zeros(rows, x.shape[-1]), state)
            came = [tuple(member.shape) if isinstance(member, Tensor) else type(member).__name__ for member in new]
            allowed = [tuple(member.shape) for member in state]
            if came != allowed:
                raise ArgumentError(
                    "function",
                    f"returned {came} for {plural(rows, 'row')} with the state {dict(self.state_sizes)}",
                    f"the new state must have the old state's shapes, {allowed}",
                )
            if any(member.requires_grad for member in new):
                raise ArgumentError(
                    "function",
                    "uses a tensor that requires a gradient and is not among its parameters",
                    "the tensor's gradient would be lost",
                    "pass it in `parameters`",
                )
        if not torch.equal(random, torch.get_rng_state()):
            raise ArgumentError(
                "function",
                "draws random numbers",
                "it is run again in the backward pass, where they would differ and make the gradient wrong",
                "draw them outside and pass them in as features of x",
            )
        self._check_claims(values, x)

    def _check_claims(self, parameters: Parameters, x: Tensor) -> None:
        """Check the claims `linear` and `diagonal` by J_tᵀ at two irregular states.

        J_tᵀ must be the same at both where the cell is linear, and must not mix entries where the cell is diagonal.
        Tensors without values are not checked, as in `check_indices`.
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
                "linear", "is True", "the function's derivative by the state depends on the state", "leave linear out"
            )
        if self.diagonal and not _equal(pulled, diagonals * torch.cat(cotangent, dim=-1)):
            raise ArgumentError(
                "diagonal",
                "is True",
                "some entry of the new state depends on another entry of the old state",
                "leave diagonal out",
            )


def _anew(state: State) -> State:
    """Return the same values as new tensors.

    `torch.func` loses track of an input that a function returns unchanged.
    """
    return tuple(member.view_as(member) for member in state)


def _irregular(like: Tensor, seed: int, size: int) -> Tensor:
    """Make two rows of irregular numbers between -2 and 2, without torch's generator."""
    # The usual constants of a sine hash; any frequency and phase without a short period would do.
    at = torch.arange(2 * size, device=like.device).view(2, size)
    return (2 * torch.sin(12.9898 * at + 78.233 * seed + 1)).to(like.dtype)


def _equal(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors are equal up to rounding."""
    # √ε lies midway, by order of magnitude, between a rounding error, about ε, and a claim that is wrong, about 1.
    return torch.allclose(a, b, rtol=torch.finfo(a.dtype).eps ** 0.5, atol=torch.finfo(a.dtype).eps ** 0.5)
