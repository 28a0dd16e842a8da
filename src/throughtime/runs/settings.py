"""Settings of a run, filled by the command line and `config.yaml`. No torch is imported here."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from throughtime.errors import ArgumentError
from throughtime.runs.gradient import METHODS, check_choice
from throughtime.runs.options import check_options, option, options


@dataclass(frozen=True)
class DataSettings:
    """Options of the data: the task, and the held-out share."""

    task: str = option("", "What is predicted, by the name of the task; empty: stream with `online`, text without.")
    validation: float = option(
        0.1,
        "Share of the data, at its end, that is held out and never trained on.",
        above=0,
        below=1,
        online=False,
    )


@dataclass(frozen=True)
class ModelSettings:
    """Options of the model: the recurrent layers and dropout. The task adds the modules below and above them."""

    cell: Literal["lstm", "gru", "rnn"] = option("lstm", "The recurrent cell.")
    nonlinearity: Literal["tanh", "relu", "identity"] = option("tanh", "The nonlinearity of `cell` rnn.")
    hidden_size: int = option(128, "Hidden units per layer.", least=1)
    num_layers: int = option(2, "Recurrent layers, one above the other.", least=1)
    dropout: float = option(0.0, "Share of the activations dropped above each layer while training.", least=0, below=1)


@dataclass(frozen=True)
class OptimizationSettings:
    """Options of the training: updates, gradient method, learning rate, limits."""

    batch_size: int = option(
        0, "Streams of text read side by side; 0: 50, or fewer where the text is short.", least=0, online=False
    )
    update_every: int = option(
        50,
        "Steps of the sequence between two updates of the weights, whose losses make the update. The state goes on; "
        "the gradient goes back to the last update, or by `horizon`.",
        least=1,
    )
    gradient: str = option(
        "bptt",
        f"How the gradient is obtained: {', '.join(METHODS)}. truncated: each loss reaches back `horizon` steps; "
        "checkpointed: as bptt, in less memory, see `segments` and `memory`; scan: as bptt, steps in parallel. The "
        "others carry the weights' influence forwards, for `online` and small models: rtrl is exact, snap, uoro, "
        "rflo and eprop are approximations.",
    )
    horizon: int = option(
        0,
        "Steps that each loss reaches back, whatever `update_every` is, for `gradient` truncated. The horizon - 1 "
        "steps before a chunk are run again with it, under today's weights, without a loss of their own.",
        least=0,
    )
    order: int = option(1, "Connections that a weight's influence is followed over, for `gradient` snap.", least=1)
    leak: float = option(0.0, "Share of its state that a unit keeps from step to step, for `gradient` rflo.")
    segments: int = option(
        0,
        "Segments that a chunk is divided into, of which one at a time is kept, for `gradient` checkpointed.",
        least=0,
    )
    memory: str = option("", "In place of `segments`: what the backward pass of a layer may keep, such as 256MB.")
    burn_in: int = option(
        0,
        "Steps at the beginning of each pass that only warm up the state, in every stream: no loss is taken there and "
        "no gradient goes there.",
        least=0,
        online=False,
    )
    chunk_jitter: bool = option(
        False,
        "Draw the length of each chunk around `update_every`, anew in each pass (Merity et al. 2017): with the same "
        "number of updates, and the learning rate in proportion to the length.",
        online=False,
    )
    online: bool = option(
        False,
        "Learn from a stream of bytes while it comes: FILE, or - for standard input. There are no epochs and no "
        "held-out text; the memory does not grow.",
    )
    epochs: int = option(6, "Passes through the training text.", least=1, online=False, resumable=True)
    learning_rate: float = option(0.005, "Adam's learning rate after the warm-up.", above=0)
    schedule: Literal["cosine", "constant", "plateau"] = option(
        "cosine",
        "cosine: falls to a hundredth at the end; plateau: halves after a validation without improvement.",
        online=False,
    )
    warm_up: int = option(50, "Updates in which the learning rate rises to its full value.", least=0, online=False)
    clip_norm: float = option(
        1.0, "Largest norm of the whole gradient; a longer one is rescaled. 0: no limit.", least=0
    )
    clip_step: float = option(
        0.0, "Largest norm of the gradient that reaches one hidden state, per sequence and step; 0: no limit.", least=0
    )
    save: Literal["gates", "states"] = option(
        "gates",
        "What is kept for the backward pass of `gradient` bptt. states: a third of it (LSTM) or a fifth (GRU), "
        "up to a quarter more time.",
    )
    validate_every: int = option(0, "Updates between two validations; 0: one after each pass.", least=0, online=False)
    patience: int = option(
        0,
        "Stop after this many validations in a row without improvement; 0: never.",
        least=0,
        online=False,
        resumable=True,
    )
    nonfinite: Literal["raise", "skip", "rescale", "restore"] = option(
        "raise",
        "What to do where a gradient is NaN or infinite. raise: stop and say where; skip: pass over the update; "
        "rescale: set such entries to 0 and the rest to at most the norm before; restore: go back to a copy of the "
        "weights that is at most 100 updates old.",
        online=False,
        resumable=True,
    )
    diagnose_every: int = option(
        0,
        "Updates between two diagnoses of the gradient's flow; 0: one before the first update and one after the last.",
        least=0,
        online=False,
        resumable=True,
    )
    tensorboard: bool = option(
        False,
        "Also write scalars to RUN/tensorboard, for TensorBoard, if it is installed.",
        online=False,
        resumable=True,
    )
    max_minutes: float = option(
        0.0, "Stop after this many minutes, with a last validation; 0: never.", least=0, resumable=True
    )
    seed: int = option(0, "Seed of the weights, of the dropout and of `chunk_jitter`.", least=0, below=2**63)
    threads: int = option(
        0,
        "Threads on the CPU; 0: torch's choice. Beside other work on the machine 1 is often the fastest.",
        least=0,
        below=1024,
        resumable=True,
    )
    accelerator: Literal["auto", "cpu", "gpu"] = option(
        "auto", "Where the model is trained.", online=False, resumable=True
    )


@dataclass(frozen=True)
class TaskSettings:
    """Options of a single task; a task derives its settings from this class."""


@dataclass(frozen=True)
class RunSettings:
    """Settings that decide the result of a run.

    Args:
        file: the data.
        data: how they are divided.
        model: what is trained.
        optimization: how.
        task: what the task alone can be told; a plain `TaskSettings()` stands for the defaults of the task.

    Raises:
        ArgumentError: a value of the wrong type or out of range, or values that do not fit together.
    """

    file: str
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    optimization: OptimizationSettings = OptimizationSettings()
    task: TaskSettings = TaskSettings()

    def __post_init__(self) -> None:
        for group in self.groups():
            check_options(group)
        check_choice(self.optimization)
        if self.optimization.online:
            self._check_online()
        if self.model.nonlinearity != "tanh" and self.model.cell != "rnn":
            raise ArgumentError(
                "nonlinearity",
                f"is {self.model.nonlinearity}",
                f"it goes with `cell` rnn only, and `cell` is {self.model.cell}",
                "leave it out, or choose `cell` rnn",
            )

    def groups(self) -> Iterator[Any]:
        """Yield the settings objects, each a group of options."""
        yield from (self.data, self.model, self.optimization, self.task)

    def _check_online(self) -> None:
        """Refuse options that have no meaning on a stream."""
        for group in self.groups():
            for entry, _, told in options(type(group)):
                value = getattr(group, entry.name)
                if not told.online and value != entry.default:
                    raise ArgumentError(
                        entry.name, f"is {value}", "a run with `online` has no use for it", "leave it out"
                    )

    def flat(self) -> dict[str, Any]:
        """Return all settings by option name, as in `config.yaml`."""
        return {"file": self.file, **{name: value for group in self.groups() for name, value in asdict(group).items()}}

    def lasting(self) -> dict[str, Any]:
        """Return the settings that no continuation may change, by option name."""
        kept = {entry.name for group in self.groups() for entry, _, told in options(type(group)) if not told.resumable}
        return {name: value for name, value in self.flat().items() if name in kept}
