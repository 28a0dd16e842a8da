"""The Lightning module: one update for each chunk of a text, with the state carried along."""

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from throughtime.data.streams import Chunk
from throughtime.errors import NonFiniteError
from throughtime.losses import cross_entropy
from throughtime.records import UpdateRow
from throughtime.sequences.tap import Tap
from throughtime.training.carried import Carried, advanced
from throughtime.training.gradient import steps_run_again
from throughtime.training.history import History
from throughtime.training.model import CarriedState, SequenceModel, detached
from throughtime.training.progress import Progress
from throughtime.training.rescue import Checked, Rescue, first_nonfinite_weights
from throughtime.training.schedules import learning_rate_factor
from throughtime.training.settings import OptimizationSettings
from throughtime.training.step_norms import tap_of

_OWN_STATE = "throughtime"


class SequenceTraining(LightningModule):
    """Trains a model on chunks that follow each other; each chunk is one update ([T], weights every N steps).

    With a horizon the steps before a chunk, which its first losses reach back to, are run again with it, under today's
    weights and without a loss of their own; the state before them is the one that was found when they first passed by.

    Args:
        model: what is trained.
        settings: how.
        total_updates: the length of the run, which the schedule needs.
    """

    def __init__(self, model: SequenceModel, settings: OptimizationSettings, total_updates: int) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.total_updates = total_updates
        self.progress = Progress()
        self.history = History(total_updates)
        self.notices: list[str] = []
        self.latest: UpdateRow | None = None
        self.latest_loss = math.nan
        self._rescue = Rescue(settings.nonfinite)
        self._tapping = tap_of(model)
        self._tap = Tap()
        self._carried = Carried()
        self._entered: tuple[Chunk, Carried] | None = None
        self._held_out_state: CarriedState = None
        self._held_out_loss, self._held_out_tokens = 0.0, 0
        self._random_state: dict[str, Tensor] = {}

    @property
    def held_out_loss(self) -> float:
        """The mean loss in nats over the held-out tokens read since the validation began; NaN before the first."""
        return self._held_out_loss / self._held_out_tokens if self._held_out_tokens else math.nan

    def training_step(self, batch: Chunk) -> Tensor:
        """Return the mean loss of one chunk in nats per token, and carry the state on without its history."""
        again = steps_run_again(self.settings)
        before = Carried() if batch.first else self._carried
        if batch.warm_up is not None:
            before = advanced(self.model, before, batch.warm_up, again)
        with self._tapping as self._tap:
            loss, state = self._chunk_loss(batch, before)
        self._carried = advanced(self.model, before, batch.inputs, again) if again else Carried(None, state)
        self._entered = batch, before
        self.latest_loss = loss.item()
        if not math.isfinite(self.latest_loss) and self.settings.nonfinite == "raise":
            raise NonFiniteError(self._at_update(_name_culprit(self.model)))
        return loss

    def _chunk_loss(self, chunk: Chunk, before: Carried) -> tuple[Tensor, CarriedState]:
        logits, state = self.model(before.before(chunk.inputs), before.state, skip=before.steps)
        return cross_entropy(logits, chunk.targets, mask=chunk.mask), detached(state)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the whole gradient by its norm ([T]), act where it is not finite, and note the update."""
        try:
            checked = self._rescue.check(self.model, optimizer, self._tap, self.settings.clip_norm or None)
        except NonFiniteError as error:
            raise NonFiniteError(self._at_update(str(error))) from None
        if checked.sentence is not None:
            self.notices.append(f"Update {self.progress.updates + 1}: {checked.sentence}")
            self._carried = self._carried.if_finite()
        self._note(checked)

    def _note(self, checked: Checked) -> None:
        chunk, before = self._entered or (None, Carried())
        tokens = chunk.targets.numel() if chunk else 0
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
        kept = "the last checkpoint is kept" if self.progress.rows else "there is no checkpoint yet"
        way_out = f"{kept}; a smaller --learning-rate, or --clip-step, keeps the numbers in range"
        if self._rescue.policy == "raise":
            way_out += ", and --nonfinite skip passes over such updates"
        return f"Update {self.progress.updates + 1}: {sentence.rstrip('.')}; {way_out}."

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """With random chunk lengths, give an update the learning rate of its share of steps (Merity et al. 2017)."""
        if self.settings.chunk_jitter and self._entered:
            share = len(self._entered[0].inputs) / self.settings.update_every
            for group in optimizer.param_groups:  # the schedule sets it anew for the next update
                group["lr"] *= share

    def on_validation_epoch_start(self) -> None:
        """Start reading the held-out text, with a state of its own."""
        self._held_out_state = None
        self._held_out_loss, self._held_out_tokens = 0.0, 0

    def validation_step(self, batch: Chunk) -> None:
        """Add one held-out chunk to the sums, each token with the same weight."""
        loss, self._held_out_state = self._chunk_loss(batch, Carried(None, self._held_out_state))
        tokens = batch.targets.numel() if batch.mask is None else int(batch.mask.sum())
        self._held_out_loss += loss.item() * tokens
        self._held_out_tokens += tokens

    def configure_optimizers(self) -> Any:
        """Adam, with the schedule of the settings."""
        optimizer = torch.optim.Adam(self.parameters(), lr=self.settings.learning_rate)
        scheduler = LambdaLR(optimizer, lambda update: self._learning_rate_factor(update))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _learning_rate_factor(self, update: int) -> float:
        reductions, settings = self.progress.reductions, self.settings
        return learning_rate_factor(update, self.total_updates, settings.schedule, settings.warm_up, reductions)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what a continuation needs to be the same run: carried state, random generators, progress."""
        checkpoint[_OWN_STATE] = {
            "state": self._carried.state,
            "inputs": self._carried.inputs,
            "random": random_state(),
            "progress": self.progress.state_dict(),
            "history": self.history.state_dict(),
            "rescue": self._rescue.state_dict(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take back what `on_save_checkpoint` added."""
        own = checkpoint[_OWN_STATE]
        self._carried = Carried(own.get("inputs"), own["state"])  # runs of before there was a horizon have no inputs
        self._random_state = own["random"]
        self.progress = Progress.from_state_dict(own["progress"])
        if "history" in own:  # runs of before there was a history begin one here
            self.history.load_state_dict(own["history"])
            self._rescue.load_state_dict(own["rescue"])

    def on_train_start(self) -> None:
        """Set the generators last, when nothing draws from them any more before the first chunk."""
        self._carried = self._carried.to(self.device)
        set_random_state(self._random_state)


def sequence_training(module: LightningModule) -> SequenceTraining:
    """The module of a run, for the callbacks that serve no other."""
    if not isinstance(module, SequenceTraining):
        raise TypeError(f"this callback serves SequenceTraining; it was given {type(module).__name__}")
    return module


def random_state() -> dict[str, Tensor]:
    """Return the states of torch's generators: "cpu", and "cuda" where there is one."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_state(states: dict[str, Tensor]) -> None:
    """Set torch's generators to what `random_state` returned; those not named stay as they are."""
    if "cpu" in states:
        torch.set_rng_state(states["cpu"].cpu())
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"].cpu())


def _name_culprit(model: SequenceModel) -> str:
    name = first_nonfinite_weights(model)
    if name is not None:
        return f"the weights {name} hold NaN or infinity"
    return "the loss is NaN or infinite while all weights are finite"
