"""One call of a layer and its backward pass, as plain values that can be printed, sent and repeated.

`verdict` runs it and compares with torch.nn, or where torch.nn cannot, with the loop on plain tensors.
"""

import contextlib
from dataclasses import dataclass, replace
from typing import Any

import torch
from fuzz.forms import DTYPES, LAST, USUAL, USUAL_LENGTHS, NoValues, changed, in_order, plain
from fuzz.selecting import selected
from fuzz.verdicts import REFUSED, attempt, of_error, of_results
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import throughtime as tt
from throughtime.kernels.fused import FusedKernel

KINDS: dict[str, tuple[type, type, dict]] = {
    "RNN-tanh": (tt.RNN, nn.RNN, {}),
    "RNN-relu": (tt.RNN, nn.RNN, {"nonlinearity": "relu"}),
    "GRU": (tt.GRU, nn.GRU, {}),
    "LSTM": (tt.LSTM, nn.LSTM, {}),
}
METHODS = {
    "BPTT": tt.BPTT(),
    "states": tt.BPTT(save="states"),
    "clipped": tt.BPTT(clip_step=0.5),
    "checkpointed": tt.CheckpointedBPTT(segments=2),
    "truncated": tt.TruncatedBPTT(horizon=2),
}
MODES = {
    "train": contextlib.nullcontext,
    "no_grad": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}
WAYS = ("vectors", "indices", "unbatched", "packed")


def _freed(t: Tensor) -> None:
    t.untyped_storage().resize_(0)


def _moved(t: Tensor) -> None:
    """As FSDP does: the memory is given back, and is there again with the same values before it is needed."""
    values, size = t.detach().clone(), t.untyped_storage().nbytes()
    t.untyped_storage().resize_(0)
    t.untyped_storage().resize_(size)
    t.data.copy_(values)


def _put(t: Tensor, data: Tensor) -> None:
    t.data = data


EVENTS = {
    "freed": _freed,
    "cut short": lambda t: t.untyped_storage().resize_(4),
    "moved": _moved,
    "narrower": lambda t: _put(t, t.detach()[..., :-1].clone()),
    "shorter": lambda t: _put(t, t.detach()[:-1].clone()),
    "of float64": lambda t: _put(t, t.detach().double()),
    "of float16": lambda t: _put(t, t.detach().half()),
    "without values": lambda t: _put(t, t.detach().to("meta")),
    "empty": lambda t: t.detach().set_(torch.empty(0, dtype=t.dtype)),
    "written": lambda t: t.detach().zero_(),
}
"""What may befall a tensor between the passes: the gradient is that of the forward pass, or there is a sentence."""


@dataclass(frozen=True)
class LayerPlan:
    """A layer, its arguments, and what is unusual about them: pairs of a place and a form (forms.py) or event."""

    kind: str = "RNN-tanh"
    dtype: str = "float32"
    sizes: tuple[int, int, int, int] = (3, 2, 3, 5)
    layers: int = 1
    bias: bool = True
    bidirectional: bool = False
    batch_first: bool = False
    proj_size: int = 0
    learned: bool = False
    replica: bool = False
    way: str = "vectors"
    hx: bool = False
    lengths: tuple[int, ...] | None = None
    resets: bool = False
    method: str = "BPTT"
    mode: str = "train"
    device: str = "cpu"
    changes: tuple[tuple[str, str], ...] = ()
    events: tuple[tuple[str, str], ...] = ()
    seed: int = 0

    def layer(self, ours: bool) -> nn.Module:
        mine, theirs, extra = KINDS[self.kind]
        options = dict(num_layers=self.layers, bias=self.bias, bidirectional=self.bidirectional)
        options |= dict(batch_first=self.batch_first, dtype=getattr(torch, self.dtype), device=self.device) | extra
        if self.kind == "LSTM":
            options["proj_size"] = self.proj_size
        if ours:
            options |= dict(gradient=METHODS[self.method], learn_initial_state=self.learned)
        made = (mine if ours else theirs)(self.sizes[2], self.sizes[3], **options)
        generator = torch.Generator().manual_seed(self.seed)
        with torch.no_grad():
            for value in made.parameters():
                value.copy_(torch.randn(value.shape, generator=generator) * 0.8 / self.sizes[3] ** 0.5)
        return made

    def arguments(self) -> dict[str, Any]:
        """The base arguments by place."""
        steps, rows, features, hidden = self.sizes
        dtype, generator = getattr(torch, self.dtype), torch.Generator().manual_seed(self.seed + 1)
        shape = (steps,) if self.way == "unbatched" else (rows, steps) if self.batch_first else (steps, rows)
        x = torch.randn(*shape, features, generator=generator).to(dtype)
        if self.way == "indices":
            x = torch.randint(0, max(features, 1), shape, generator=generator)
        made: dict[str, Any] = {"x": x}
        if self.way == "packed":
            packed = pack_padded_sequence(x, list(self.lengths or ()), self.batch_first, enforce_sorted=False)
            made |= {"x": packed.data, **packed._asdict()}
            del made["data"]
        elif self.lengths is not None:
            made["lengths"] = torch.tensor(self.lengths, dtype=torch.int64)
            padding = torch.arange(steps)[:, None] >= made["lengths"]
            x[padding.T if self.batch_first else padding] = 10**9 if self.way == "indices" else float("nan")
        if self.resets:
            if self.way == "packed":  # as many steps as the longest row has
                shape = (rows, max(self.lengths or ())) if self.batch_first else (max(self.lengths or ()), rows)
            made["resets"] = torch.rand(shape, generator=generator) < 0.3
        if self.hx:
            batch = () if self.way == "unbatched" else (rows,)
            state_sizes = [self.proj_size or hidden, hidden][: 1 + (self.kind == "LSTM")]
            for name, size in zip("hc", state_sizes, strict=False):
                state = torch.randn(self.layers * (1 + self.bidirectional), *batch, size, generator=generator)
                made[name] = state.to(dtype)
        return {place: value.to(self.device) if place != "batch_sizes" else value for place, value in made.items()}

    def is_usual(self) -> bool:
        """Whether nothing about it may be refused."""
        forms = {
            "lengths": {form for form in USUAL_LENGTHS if self._keeps_rows(form)},
            **dict.fromkeys(("hx", "resets", "batch_sizes", "sorted_indices", "unsorted_indices"), set()),
        }
        if self.way == "indices" and not self.sizes[2] or self.device != "cpu":
            return False  # no index is valid; masks without values cannot be looked at
        if self.mode == "autocast" and self.dtype != "float32":
            return False  # torch joins nothing of float16 in there
        return not self.events and all(form in forms.get(place, USUAL) for place, form in self.changes)

    def _keeps_rows(self, form: str) -> bool:
        """Whether no length wraps in the form, and none grows over what is no index."""
        dtype = DTYPES.get(form, torch.int64)
        return torch.iinfo(dtype).max >= max(self.lengths or (0,)) and (form, self.way) != ("expanded", "indices")

    def form_of(self, place: str, usual: Any) -> Any:
        value = usual
        for where, form in in_order(self.changes):
            if where == place and not (form in LAST and self._torch_reads(place, usual, value)):
                value = changed(value, form)
        return value

    def _torch_reads(self, place: str, usual: Any, value: Any) -> bool:
        """Whether torch's engine itself reads a cotangent, before any node of ours gets it and can refuse it."""
        if not place.startswith("d ") or not isinstance(value, Tensor):
            return False
        # It adds up or casts what does not fit, and puts packed rows in another order.
        return self.way == "packed" or value.shape != usual.shape or value.dtype != usual.dtype


def _differentiable(value: Any) -> bool:
    """Whether autograd takes it for a leaf."""
    if not isinstance(value, Tensor) or isinstance(value, nn.UninitializedParameter):
        return False
    return (value.is_floating_point() or value.is_complex()) and not value.is_inference()


def _weights(plan: LayerPlan, layer: nn.Module, formed: Any) -> None:
    """Put every weight into its form, and of a replica every one as a plain attribute."""
    names = list(layer._parameters)
    for index, name in enumerate(names):
        before = layer._parameters[name]
        value = formed(f"weight {index}", before.detach().clone())
        if not isinstance(value, Tensor):
            continue
        if plan.replica:
            del layer._parameters[name]
            layer.__dict__[name] = value.requires_grad_(_differentiable(value))
        elif value is not before:
            setattr(layer, name, nn.Parameter(value, requires_grad=_differentiable(value)))


def _outcome(plan: LayerPlan, layer: nn.Module, formed: Any, events: bool) -> dict[str, Tensor]:
    """The outputs, the final state and, in training, all gradients, by name."""
    _weights(plan, layer, formed)
    unused = {"h", "c"} if ("hx", "None") in plan.changes else set()
    given = {place: formed(place, value) for place, value in plan.arguments().items() if place not in unused}
    for place in ("x", "h", "c"):
        if _differentiable(given.get(place)):
            given[place].requires_grad_()
    x, hx = given["x"], given.get("h") if "c" not in given else (given["h"], given["c"])
    if plan.way == "packed":
        x = PackedSequence(x, given["batch_sizes"], given["sorted_indices"], given["unsorted_indices"])
    options = {name: given[name] for name in ("lengths", "resets") if name in given}
    # A form of hx reads h, whose memory a form of h may have taken away.
    taken = isinstance(hx, Tensor) and any(place == "h" and form in LAST for place, form in plan.changes)
    with MODES[plan.mode]():
        y, final = layer(x, hx if taken else formed("hx", hx), **options)
    y = y.data if isinstance(y, PackedSequence) else y
    results = {"outputs": y, **{f"final {i}": v for i, v in enumerate(final if isinstance(final, tuple) else (final,))}}
    weights = {name: getattr(layer, name) for name in layer.state_dict()} if not plan.replica else {}
    leaves = {name: given[name] for name in ("x", "h", "c") if name in given} | weights
    leaves = {n: v for n, v in leaves.items() if isinstance(v, Tensor) and v.requires_grad}
    outputs = {name: value for name, value in results.items() if value.requires_grad}
    if not leaves or not outputs:
        return results
    detached = {name: value.detach().clone() for name, value in results.items()}
    generator = torch.Generator().manual_seed(plan.seed + 2)
    cotangents = []
    for name, value in outputs.items():
        usual = torch.randn(value.shape, generator=generator).to(value.dtype).to(value.device)
        cotangent = formed(f"d {name}", usual)
        cotangents.append(cotangent if isinstance(cotangent, Tensor) else usual)
    if events:
        things = given | results | {f"weight {i}": value for i, value in enumerate(layer._parameters.values())}
        for place, event in in_order(plan.events):
            if isinstance(things.get(place), Tensor):
                EVENTS[event](things[place])
    gradients = torch.autograd.grad(list(outputs.values()), list(leaves.values()), cotangents, allow_unused=True)
    return detached | {f"gradient of {n}": g for n, g in zip(leaves, gradients, strict=True) if g is not None}


INFINITIES = {"infinity", "negative infinity"}
INPUT_WEIGHTS = ("gradient of weight_ih_l0", "gradient of weight_ih_l0_reverse")
"""Gradients that indices select columns of."""


def _infinite_in_gru(plan: LayerPlan) -> bool:
    """Whether an infinite ∂L/∂h_t reaches a GRU.

    On its way to the gates it can be ∞ − ∞ in torch.nn, dh − dh ⊙ z, where here dh ⊙ (1 − z) stays ±∞.
    """
    overflowing = {*INFINITIES, "huge"} if plan.dtype == "float16" else INFINITIES
    return plan.kind == "GRU" and any(place.startswith("d ") and form in overflowing for place, form in plan.changes)


def _not_finite_and_not_selected(plan: LayerPlan) -> bool:
    """Whether indices select columns of weights that are not finite: the loop's one-hot vectors make 0 · ∞ of them."""
    count = 2 + 2 * plan.bias + bool(plan.proj_size)  # of weights of a layer's direction, W_ih first
    places = ("weight 0", f"weight {count}") if plan.bidirectional else ("weight 0",)
    return plan.way == "indices" and any(p in places and f in ("nan", *INFINITIES) for p, f in plan.changes)


def _may_overflow(plan: LayerPlan) -> bool:
    """Whether a state can grow beyond the largest number: that of no other cell is unbounded."""
    huge = any(place.startswith("weight") and form == "huge" for place, form in plan.changes)
    return plan.kind == "RNN-relu" and huge


def _consistent(batch_sizes: Any, rows: int) -> bool:
    """Whether these are the batch sizes of a packed sequence with so many rows of data."""
    if not isinstance(batch_sizes, Tensor) or batch_sizes.is_floating_point() or batch_sizes.dim() != 1:
        return False
    sizes = batch_sizes.tolist()
    return bool(sizes) and sizes == sorted(sizes, reverse=True) and sizes[-1] > 0 and sum(sizes) == rows


def _on_the_loop(plan: LayerPlan, formed: Any) -> dict[str, Tensor]:
    serves = FusedKernel.serves
    FusedKernel.serves = lambda self, parameters, sequence: False  # type: ignore[method-assign]
    try:
        return _outcome(plan, plan.layer(ours=True), formed, events=False)
    finally:
        FusedKernel.serves = serves  # type: ignore[method-assign]


def _reference(plan: LayerPlan) -> Any:
    """The right results; REFUSED where neither torch.nn nor the loop has any."""

    def formed(place: str, value: Any) -> Any:
        value = plan.form_of(place, value)
        if place == "hx" and isinstance(value, tuple):
            return tuple(map(plain, value))
        if place == "lengths" and isinstance(value, Tensor) and not value.is_floating_point():
            return plain(value).long() if value.dtype is not torch.bool else plain(value)
        return plain(value)

    try:
        if plan.way == "packed":
            given = plan.arguments()
            data, sizes = (formed(place, given[place]) for place in ("x", "batch_sizes"))
            if not isinstance(data, Tensor) or not _consistent(sizes, len(data)):
                return REFUSED
        padded_only = plan.way in ("vectors", "unbatched") and plan.lengths is None or plan.way == "packed"
        exact = METHODS[plan.method].exact and plan.method != "truncated" and plan.mode != "autocast"
        if padded_only and exact and not plan.resets and not plan.learned:
            with contextlib.suppress(RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError):
                return _outcome(plan, plan.layer(ours=False), formed, events=False)
        return _on_the_loop(plan, formed)
    except NoValues:
        return REFUSED
    except Exception:
        return REFUSED


def verdict(plan: LayerPlan, stage: Any = lambda number: None) -> str:
    """The judgement of the layer's answer, see verdicts.py. `stage` is told when torch alone is at work."""
    torch.manual_seed(plan.seed)
    ours = attempt(lambda: _outcome(plan, plan.layer(ours=True), plan.form_of, events=True))
    if isinstance(ours, BaseException):
        judgement = of_error(ours)
        return f"refused what is usual, {judgement}" if plan.is_usual() else judgement
    stage(1)
    on_meta = plan.device == "meta"
    # What autocasts on the CPU leaves tensors on the meta device as they are.
    like = replace(plan, device="cpu", mode="train" if on_meta and plan.mode == "autocast" else plan.mode)
    expected = _reference(like)
    # Other data under a leaf of the graph makes it another leaf, which torch finds no gradient for; and an inference
    # tensor, of which `plain` makes a usual one, is no leaf at all.
    may_lack = (
        expected if plan.events else {f"gradient of {place}" for place, form in plan.changes if form == "inference"}
    )
    return of_results(
        ours,
        expected,
        getattr(torch, plan.dtype),
        only_shapes=on_meta or _not_finite_and_not_selected(plan),
        may_lack=may_lack,
        infinity_may_be_nan=_infinite_in_gru(plan),
        selected=selected(lambda: _reference(like), expected, INPUT_WEIGHTS if plan.way == "indices" else ()),
        may_overflow=_may_overflow(plan),
    )
