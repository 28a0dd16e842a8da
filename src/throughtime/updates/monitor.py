"""Lightning callback that watches ∂L/∂s_t in every update of any module."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.optim import Optimizer

from throughtime.checks import check_size
from throughtime.errors import ArgumentError, UnsupportedError
from throughtime.layers.base import RecurrentLayer
from throughtime.layers.tap import tap
from throughtime.models.contexts import in_evaluation_mode
from throughtime.records import Flow
from throughtime.sequences.tap import LayerTap, Tap
from throughtime.updates.rescue import Rescue
from throughtime.updates.step_norms import root_mean_squares, untapped


class GradientMonitor(Callback):
    """Callback that logs the gradient through time and handles non-finite gradients.

    For any module that contains throughtime's layers, under Lightning's automatic optimisation with one optimiser.
    Each time the trainer logs (its `log_every_n_steps`), every logger gets, for each layer and direction:
    `gradient/LAYER/first` and `/last`, the norm of ∂L/∂s_t at the first and the last step, root mean square over rows
    and over the updates since it logged before; `/decay`, (first / last)^(1 / (T - 1)), by what the norm changes per
    step on its way back; `/clipped_steps`, the share of steps at which per-step clipping took hold; and
    `gradient/norm`, that of all weights together before clipping, and `gradient/rescues`.

    Args:
        nonfinite: what to do about a gradient that is not finite: "raise"; "stop" the training; "skip", "rescale",
            "restore": see `throughtime.updates.rescue.Rescue`. All but "raise" warn with the sentence that names
            layer, step and row. The schedule of the learning rate goes on in any case.
        keep_every: for "restore": updates between two copies of weights and optimiser in memory.
        diagnose: makes a full diagnosis of a module on a batch; it runs with dropout off and changes no random state.
        diagnose_every: updates between two of them; 0: none.

    Attributes:
        by_step: layer → the norms by step that were logged last.
        flows: all diagnoses.
        sentences: what was said about gradients that were not finite.

    Raises:
        ArgumentError: an option that is none.
        UnsupportedError: when training starts, for manual optimisation, several optimisers, LBFGS, a gradient scaler
            (16-mixed, which skips by itself), a module without our layers, a method that offers no tap.

    Cost: O(T·B) per layer beside the tap's own, and 4 bytes per step and row of every update until it logs; the device
    is waited for once per update and once per logging.

    Examples:
        >>> from throughtime.training import GradientMonitor
        >>> monitor = GradientMonitor(nonfinite="skip")  # Trainer(callbacks=[monitor])
    """

    def __init__(
        self,
        nonfinite: str = "raise",
        keep_every: int = 100,
        diagnose: Callable[[LightningModule, Any], Flow] | None = None,
        diagnose_every: int = 0,
    ) -> None:
        check_size("diagnose_every", diagnose_every, 0)
        if diagnose is not None and not callable(diagnose):
            raise ArgumentError(
                "diagnose", f"is {diagnose!r}", "it must be a function that makes the diagnosis, or None"
            )
        if diagnose_every and diagnose is None:
            raise ArgumentError(
                "diagnose_every",
                f"is {diagnose_every} and `diagnose` is None",
                "it must be 0, or at least 1 beside a function that makes the diagnosis",
            )
        self.by_step: dict[str, list[float]] = {}
        self.flows: list[Flow] = []
        self.sentences: list[str] = []
        self._rescue = Rescue(nonfinite, keep_every)
        self._diagnose, self._diagnose_every = diagnose, diagnose_every
        self._tapping: AbstractContextManager[Tap] = nullcontext(Tap())
        self._open = ExitStack()
        self._taps: list[Tap] = []
        self._window: dict[str, list[LayerTap]] = {}
        self._clips = False
        self._updates = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse what cannot be watched."""
        _check(trainer, pl_module)
        self._updates = trainer.global_step
        self._tapping = tap(pl_module)
        layers = [layer for layer in pl_module.modules() if isinstance(layer, RecurrentLayer)]
        self._clips = any(layer.gradient.clip_step is not None for layer in layers)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Open the tap, which records the backward pass of the batch."""
        self._taps.append(self._open.enter_context(self._tapping))

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Close the tap behind the forward pass."""
        self._open.close()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Clip and log the gradient, and apply the policy for non-finite gradients."""
        checked = self._rescue.check(pl_module, optimizer, _Earliest(self._taps))
        if checked.sentence is not None:
            self.sentences.append(f"Update {trainer.global_step + 1}: {checked.sentence}")
            rank_zero_warn(self.sentences[-1])
            if self._rescue.policy == "stop":
                trainer.should_stop = True
        else:
            for record in self._taps:
                self._read(record)
        self._taps = []
        every = trainer.log_every_n_steps  # pyright: ignore[reportAttributeAccessIssue]  (Lightning sets it elsewhere)
        if (trainer.global_step + 1) % every == 0:
            self._log(trainer, checked.total_norm)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Diagnose the model every `diagnose_every` updates."""
        self._open.close()  # where the step returned no loss
        if trainer.global_step == self._updates:  # gradients are still being accumulated
            return
        self._updates = trainer.global_step
        if self._diagnose is not None and self._diagnose_every and self._updates % self._diagnose_every == 0:
            with in_evaluation_mode(pl_module):
                self.flows.append(replace(self._diagnose(pl_module, batch), update=self._updates))
            _send(trainer, _horizons(self.flows[-1]))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the tap."""
        self._open.close()
        self._taps = []

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Close the tap, and free the module and its records."""
        self._open.close()
        self._tapping = nullcontext(Tap())
        self._taps = []

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed training needs."""
        return {"rescue": self._rescue.state_dict(), "sentences": self.sentences}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        self._rescue.load_state_dict(state_dict["rescue"])
        self.sentences = state_dict["sentences"]

    def _read(self, record: Tap) -> None:
        for name, layer in record.layers.items():
            if layer.norms and layer.norms[layer.names[0]].numel():
                self._window.setdefault(name, []).append(layer)

    def _log(self, trainer: Trainer, total_norm: float) -> None:
        scalars = {"gradient/norm": total_norm, "gradient/rescues": float(self._rescue.rescues)}
        for name, layers in self._window.items():
            steps = len(layers[-1].norms[layers[-1].names[0]])
            alike = [
                layer for layer in layers if len(layer.norms[layer.names[0]]) == steps
            ]  # chunks may differ in length
            norms = root_mean_squares(*alike).tolist()
            self.by_step[name] = norms
            scalars |= {f"gradient/{name}/first": norms[0], f"gradient/{name}/last": norms[-1]}
            if len(norms) > 1 and norms[-1] > 0:
                scalars[f"gradient/{name}/decay"] = (norms[0] / norms[-1]) ** (1 / (len(norms) - 1))
            held = [layer.clipped.float() for layer in alike if self._clips and layer.clipped is not None]
            scalars[f"gradient/{name}/clipped_steps"] = float(torch.cat(held, dim=1).mean()) if held else 0.0
        self._window = {}
        _send(trainer, scalars)


class _Earliest:
    """Taps of all batches of an update, earliest first."""

    def __init__(self, taps: list[Tap]) -> None:
        self._taps = taps

    def first_nonfinite(self) -> tuple[str, int, int] | None:
        places = (tap.first_nonfinite() for tap in self._taps)
        return next((place for place in places if place is not None), None)


def _check(trainer: Trainer, module: LightningModule) -> None:
    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, RecurrentLayer)}
    without, misfit = untapped(module), None
    if not module.automatic_optimization:
        misfit = "manual optimisation, which it cannot step into: use automatic optimisation, or throughtime.tap"
    elif len(trainer.optimizers) != 1:
        misfit = f"{len(trainer.optimizers)} optimisers: give it a module with one"
    elif isinstance(trainer.optimizers[0], torch.optim.LBFGS):
        misfit = "LBFGS, which evaluates the loss several times an update: use another optimiser"
    elif getattr(trainer.precision_plugin, "scaler", None) is not None:
        misfit = "a gradient scaler, which skips updates by itself: use precision bf16-mixed or 32"
    elif not layers:
        misfit = "a module without throughtime's recurrent layers: build it from them, or convert with from_torch"
    elif without:
        misfit = f"{layers[without[0]].gradient} in {without[0]!r}, which never forms ∂L/∂s_t: use throughtime.BPTT"
    if misfit:
        raise UnsupportedError(f"GradientMonitor was given {misfit}.")


def _send(trainer: Trainer, scalars: dict[str, float]) -> None:
    finite = {name: value for name, value in scalars.items() if math.isfinite(value)}
    for logger in trainer.loggers:
        logger.log_metrics(finite, step=trainer.global_step)


def _horizons(flow: Flow) -> dict[str, float]:
    scalars = {"diagnosis/loss": flow.loss}
    for layer in flow.layers:
        scalars |= {f"diagnosis/{layer.name}/horizon_{horizon.level:.2g}": horizon.lag for horizon in layer.horizons}
    return scalars
