"""Lightning module of a run: one update per chunk, with the state carried on."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from throughtime.checks import check_size
from throughtime.data.streams import Chunk, on_cpu
from throughtime.errors import NonFiniteError
from throughtime.records import UpdateRow
from throughtime.runs.gradient import steps_run_again
from throughtime.runs.model import CarriedState, SequenceModel, detached
from throughtime.runs.preceding import Preceding, advanced
from throughtime.runs.recording.history import History
from throughtime.runs.recording.progress import Progress
from throughtime.runs.settings import OptimizationSettings
from throughtime.runs.tasks.base import Metric, Task
from throughtime.sequences.tap import Tap
from throughtime.updates.rescue import Checked, Rescue, first_nonfinite_weights
from throughtime.updates.schedules import learning_rate_factor
from throughtime.updates.step_norms import tap_of

MOST_KEPT = 10**7
"""Most numbers among the outputs of a validation that are kept for its metrics."""

OWN_STATE = "throughtime"
"""Key of throughtime's entries in a checkpoint of Lightning."""


class SequenceTraining(LightningModule):
    """Lightning module that makes one update per chunk ([T] in docs/mathematics.md, weights every N steps).

    With a horizon, the steps before a chunk that its first losses reach back to are run again together with the chunk,
    with the current weights and without a loss of their own. The state before these steps is not computed again: it is
    kept from their first run (`Preceding`).

    Names with `tokens` count targets (`Task.count`), of any task.

    Attributes:
        saved: whether the run has a checkpoint.
        ended: whether the run has ended for lack of improvement.
        metrics: those of the latest validation beside the loss; none where the task has none, or where the outputs are
            too many to be kept.

    Args:
        task: what is predicted, and by what loss.
        model: what is trained.
        settings: how it is trained.
        total_updates: the length of the run in updates, which the schedule needs.
        lasting: the settings that no continuation may change, which a checkpoint keeps.
    """

    def __init__(
        self,
        task: Task,
        model: SequenceModel,
        settings: OptimizationSettings,
        total_updates: int,
        lasting: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        check_size("total_updates", total_updates, 0)
        self.task = task
        self.lasting = dict(lasting or {})
        self.model = model
        self.settings = settings
        self.total_updates = total_updates
        self.progress = Progress()
        self.history = History(total_updates)
        self.notices: list[str] = []
        self.latest: UpdateRow | None = None
        self.latest_loss = math.nan
        self.saved = self.ended = False
        self._rescue = Rescue(settings.nonfinite)
        self._tapping = tap_of(model)
        self._tap = Tap()
        self._preceding = Preceding()
        self._entered: tuple[Chunk, Preceding] | None = None
        self._held_out_state: CarriedState = None
        self._held_out_loss, self._held_out_tokens = 0.0, 0
        self._predicted: list[tuple[Tensor, Chunk]] | None = None
        self._kept = 0  # numbers among them
        self.metrics: list[Metric] = []
        self._random_state: dict[str, Tensor] = {}

    @property
    def held_out_loss(self) -> float:
        """Mean loss over the held-out targets read so far; NaN before the first."""
        return self._held_out_loss / self._held_out_tokens if self._held_out_tokens else math.nan

    @property
    def _limits(self) -> list[int]:
        """Limits at which the run ends; with others it goes on."""
        return [self.total_updates, self.settings.patience]

    def training_step(self, batch: Chunk) -> Tensor:
        """Return the objective on a chunk, and carry the detached state on."""
        again = steps_run_again(self.settings)
        before = Preceding() if batch.first else self._preceding
        if batch.warm_up is not None:
            before = advanced(self.model, before, batch.warm_up, again, batch.warm_up_resets)
        with self._tapping as self._tap:
            outputs, state = self._chunk_outputs(batch, before)
            loss = self.task.objective(outputs, batch)
        self._preceding = Preceding(None, None if batch.last else state)
        if again and not batch.last:
            self._preceding = advanced(self.model, before, batch.inputs, again, batch.resets)
        self._entered = batch, before
        self.latest_loss = loss.item()
        if not math.isfinite(self.latest_loss) and self.settings.nonfinite == "raise":
            raise NonFiniteError(self._at_update(_name_culprit(self.model)))
        return loss

    def _chunk_outputs(self, chunk: Chunk, before: Preceding) -> tuple[Tensor, CarriedState]:
        inputs, resets = before.before(chunk.inputs, chunk.resets)
        outputs, state = self.model(inputs, before.state, skip=before.steps, resets=resets)
        return outputs, detached(state)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient by its norm ([T]), and apply the policy for non-finite gradients."""
        try:
            checked = self._rescue.check(self.model, optimizer, self._tap, self.settings.clip_norm or None)
        except NonFiniteError as error:
            raise NonFiniteError(self._at_update(str(error))) from None
        if checked.sentence is not None:
            self.notices.append(f"Update {self.progress.updates + 1}: {checked.sentence}")
            self._preceding = self._preceding.if_finite()
        self._note(checked)

    def _note(self, checked: Checked) -> None:
        chunk, before = self._entered or (None, Preceding())
        tokens = self.task.count(chunk) if chunk else 0
        if checked.sentence is None:
            self.progress.note_update(self.latest_loss, tokens, checked.total_norm, checked.clipped)
        else:
            self.progress.updates += 1
        update, layers = self.progress.updates, self._tap.layers
        share = 0.0
        if self.settings.clip_step:
            held = [layer.clipped[before.steps :] for layer in layers.values() if layer.clipped is not None]
            share = float(torch.stack(held).float().mean()) if held else 0.0
        self.latest = UpdateRow(update, self.latest_loss, checked.total_norm, checked.scale, share)
        self.history.note(self.latest)
        if self.history.wants(update):
            self.history.take(update, layers, before.steps)

    def _at_update(self, sentence: str) -> str:
        kept = "the last checkpoint is kept" if self.saved else "there is no checkpoint yet"
        way_out = f"{kept}; a smaller `learning_rate`, or `clip_step`, keeps the numbers in range"
        if self._rescue.policy == "raise":
            way_out += ", and `nonfinite` skip passes over such updates"
        return f"Update {self.progress.updates + 1}: {sentence.rstrip('.')}; {way_out}."

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Scale the learning rate by the chunk's length, for random lengths.

        An update gets the learning rate of its share of steps (Merity et al. 2017).
        """
        if self.settings.chunk_jitter and self._entered:
            share = len(self._entered[0].inputs) / self.settings.update_every
            for group in optimizer.param_groups:  # the schedule sets it anew for the next update
                group["lr"] *= share

    def on_validation_epoch_start(self) -> None:
        """Reset the sums and the hidden state of the validation."""
        self._held_out_state = None
        self._held_out_loss, self._held_out_tokens = 0.0, 0
        self._predicted = None if type(self.task).metrics is Task.metrics else []
        self._kept = 0

    def validation_step(self, batch: Chunk) -> None:
        """Add a held-out chunk to the sums, each target with the same weight."""
        before = Preceding(None, None if batch.first else self._held_out_state)
        outputs, self._held_out_state = self._chunk_outputs(batch, before)
        loss = self.task.loss(outputs, batch)  # not the objective, so that runs can be compared
        tokens = self.task.count(batch)
        self._held_out_loss += loss.item() * tokens
        self._held_out_tokens += tokens
        if self._predicted is not None:
            self._predicted.append((outputs.cpu(), on_cpu(batch)))
            self._kept += outputs.numel()
            if self._kept > MOST_KEPT:
                self._predicted = None

    def on_validation_epoch_end(self) -> None:
        """Compute the metrics beside the loss from the outputs that were kept."""
        pairs, self._predicted = self._predicted, None
        self.metrics = self.task.metrics(pairs)[1:] if pairs and self._held_out_tokens else []

    def configure_optimizers(self) -> Any:
        """Return Adam with the schedule of the settings."""
        optimizer = torch.optim.Adam(self.parameters(), lr=self.settings.learning_rate)
        scheduler = LambdaLR(optimizer, lambda update: self._learning_rate_factor(update))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _learning_rate_factor(self, update: int) -> float:
        reductions, settings = self.progress.reductions, self.settings
        return learning_rate_factor(update, self.total_updates, settings.schedule, settings.warm_up, reductions)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the carried state, random generators, settings and progress to the checkpoint."""
        self.saved = True
        checkpoint[OWN_STATE] = {
            "state": self._preceding.state,
            "inputs": self._preceding.inputs,
            "resets": self._preceding.resets,
            "random": random_state(),
            "progress": self.progress.state_dict(),
            "history": self.history.state_dict(),
            "rescue": self._rescue.state_dict(),
            "settings": self.lasting,
            "ended": self._limits if self.ended else None,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take back what `on_save_checkpoint` added."""
        ours = checkpoint[OWN_STATE]
        # Runs of before there was a horizon have no inputs, and those of version 0.1.0 no resets.
        self._preceding = Preceding(ours.get("inputs"), ours["state"], ours.get("resets"))
        self._random_state = ours["random"]
        self.saved, self.ended = True, ours.get("ended") == self._limits
        self.progress = Progress.from_state_dict(ours["progress"])
        if ours.get("history") is not None:  # runs of before there was a history begin one here
            self.history.load_state_dict(ours["history"])
        if ours.get("rescue") is not None:
            self._rescue.load_state_dict(ours["rescue"])

    def on_train_start(self) -> None:
        """Restore the random generators, as the last step before the first chunk."""
        self._preceding = self._preceding.to(self.device)
        set_random_state(self._random_state)


def sequence_training(module: LightningModule) -> SequenceTraining:
    """Return a module as `SequenceTraining`; raises TypeError for any other class."""
    if not isinstance(module, SequenceTraining):
        raise TypeError(f"this callback serves SequenceTraining; it was given {type(module).__name__}")
    return module


def random_state() -> dict[str, Tensor]:
    """Return the states of torch's generators: "cpu", and "cuda" where available."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_state(states: dict[str, Tensor]) -> None:
    """Restore torch's generators from `random_state`; others stay unchanged."""
    if "cpu" in states:
        torch.set_rng_state(states["cpu"].cpu())
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"].cpu())


def _name_culprit(model: SequenceModel) -> str:
    name = first_nonfinite_weights(model)
    if name is not None:
        return f"the weights {name} hold NaN or infinity"
    return "the loss is NaN or infinite while all weights are finite"
