"""Both sides of a case: torch.nn and throughtime with the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, unpack_sequence

from throughtime.benchmark.grid import Case
from throughtime.benchmark.unrolled import Unrolled
from throughtime.gradients import BPTT, GradientMethod
from throughtime.layers.affine import AffineLayer
from throughtime.layers.named import LAYERS

OURS: dict[str, type[AffineLayer[Any]]] = dict(LAYERS)
TORCH: dict[str, Callable[..., nn.RNNBase]] = {name: kind.twin for name, kind in LAYERS.items() if kind.twin}
"""The layers of torch.nn, for the cells that it has; the others are checked against a plain loop and not timed."""

SHARE_OF_RESETS = 0.03


@dataclass(frozen=True)
class TrainingPass:
    """Forward and backward pass with the gradients of the input and of every parameter.

    Attributes:
        module: the layer.
        x: the input, a leaf.
        cotangent: ∂L/∂output, of the output's shape.
        call: (module, x) → output.
    """

    module: nn.Module
    x: Tensor
    cotangent: Tensor
    call: Callable[[Any, Tensor], Tensor]

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        """The input and the parameters."""
        return self.x, *self.module.parameters()

    @property
    def names(self) -> list[str]:
        """Names of the tensors that a pass returns."""
        return ["output", "input", *(name for name, _ in self.module.named_parameters())]

    def forward(self) -> Tensor:
        """Return the output, with its graph."""
        return self.call(self.module, self.x)

    def __call__(self) -> tuple[Tensor, ...]:
        """Return the output, then the gradients of `leaves`."""
        output = self.forward()
        return output, *torch.autograd.grad(output, self.leaves, self.cotangent)

    def in_dtype(self, dtype: torch.dtype) -> TrainingPass:
        """Return the same pass in another dtype."""
        x = self.x.detach().to(dtype).requires_grad_()
        return TrainingPass(deepcopy(self.module).to(dtype), x, self.cotangent.to(dtype), self.call)


@dataclass(frozen=True)
class PreparedCase:
    """Both sides of a case, ready to run.

    Attributes:
        tokens: valid steps of all rows.
        ours: the pass of throughtime.
        torch: the pass of torch.nn, or of a plain loop for a cell that it does not have.
        torch_has_it: whether torch.nn can be timed on the case; if not, `torch` only checks the results.
        plain: throughtime on full sequences without resets, where the variant is compared with it.
    """

    tokens: int
    ours: TrainingPass
    torch: TrainingPass
    torch_has_it: bool
    plain: TrainingPass | None


def prepare(case: Case) -> PreparedCase:
    """Prepare a case with the same random numbers at every call; torch.nn draws the parameters."""
    shape, variant = case.shape, case.variant
    dtype = torch.float64 if variant.double else torch.float32
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        options: dict[str, Any] = {"num_layers": variant.layers, "bidirectional": variant.bidirectional}
        reference = _reference(case.cell, case.input_size, shape.hidden, {"dtype": dtype, **options})
        x = torch.randn(shape.steps, shape.batch, case.input_size, dtype=dtype)
        cotangent = torch.randn(shape.steps, shape.batch, shape.hidden * (1 + variant.bidirectional), dtype=dtype)
        lengths = torch.randint(max(1, shape.steps // 4), shape.steps + 1, (shape.batch,))
        resets = torch.rand(shape.steps, shape.batch) < SHARE_OF_RESETS
    resets[shape.steps // 2, 0] = True  # at least one, however small the shape
    known = case.cell in TORCH
    layer = _layer(case.cell, reference)
    full = TrainingPass(layer, x.requires_grad_(), cotangent, _outputs)
    if variant.states:
        lean = _layer(case.cell, reference, BPTT(save="states"))
        theirs = TrainingPass(reference, x, cotangent, _outputs)
        return PreparedCase(shape.steps * shape.batch, TrainingPass(lean, x, cotangent, _outputs), theirs, known, full)
    tokens = shape.steps * shape.batch
    if variant.packed:
        theirs = _packed(reference, x, cotangent, lengths)
        ours = TrainingPass(layer, theirs.x, theirs.cotangent, theirs.call)
        return PreparedCase(int(lengths.sum()), ours, theirs, known, full)
    if variant.resets:
        ours = TrainingPass(layer, x, cotangent, lambda module, x: module(x, resets=resets)[0])
        theirs = TrainingPass(reference, x, cotangent, lambda module, x: _by_segments(module, x, resets))
        return PreparedCase(tokens, ours, theirs, False, full)
    return PreparedCase(tokens, full, TrainingPass(reference, x, cotangent, _outputs), known, None)


def _reference(cell: str, input_size: int, hidden_size: int, options: dict[str, Any]) -> nn.Module:
    """Return torch.nn's layer, or a plain loop where it has none; either draws the same parameters as ours."""
    if cell in TORCH:
        return TORCH[cell](input_size, hidden_size, **options)
    make = cast(Callable[..., AffineLayer[Any]], OURS[cell])
    return Unrolled(make(input_size, hidden_size, **options))


def _layer(cell: str, reference: Any, gradient: GradientMethod | None = None) -> AffineLayer[Any]:
    """Return throughtime's layer with the parameters of a reference."""
    if cell in TORCH:
        return OURS[cell].from_torch(reference, gradient=gradient)
    layer = deepcopy(reference.layer)
    layer.gradient = layer.gradient if gradient is None else gradient
    return layer


def _outputs(module: Any, x: Tensor) -> Tensor:
    return module(x)[0]


def _packed(module: nn.Module, x: Tensor, cotangent: Tensor, lengths: Tensor) -> TrainingPass:
    """Return the pass on packed input; the packing is done beforehand, outside of the timing."""

    def pack(padded: Tensor) -> PackedSequence:
        return pack_padded_sequence(padded.detach(), lengths, enforce_sorted=False)

    data, *order = pack(x)
    return TrainingPass(
        module,
        data.requires_grad_(),
        pack(cotangent).data,
        lambda module, data: module(PackedSequence(data, *order))[0].data,
    )


def _by_segments(module: nn.Module, x: Tensor, resets: Tensor) -> Tensor:
    """Run every stretch between two resets as a separate sequence, which is what resets mean."""
    segments = []
    for row in range(x.shape[1]):
        starts = sorted({0, *resets[:, row].nonzero().flatten().tolist()})
        segments += [x[start:end, row] for start, end in zip(starts, [*starts[1:], len(x)], strict=True)]
    packed, _ = module(pack_sequence(segments, enforce_sorted=False))
    rows = torch.cat(unpack_sequence(packed))
    return rows.view(x.shape[1], len(x), -1).transpose(0, 1)
