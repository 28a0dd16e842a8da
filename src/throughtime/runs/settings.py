"""Settings of a run, filled by the command line and `config.yaml`. No torch is imported here."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from throughtime.errors import ArgumentError
from throughtime.runs.gradient import METHODS, check_choice
from throughtime.runs.options import check_options, check_types, option, options

if TYPE_CHECKING:
    from throughtime.data.series import Rows, SeriesSet

CellName = Literal["lstm", "gru", "rnn"]
"""The layers that a run can be made of, by their class names in lower case; `throughtime bench` measures the same."""


@dataclass(frozen=True)
class DataSettings:
    """Options of the data: the task, and the held-out share."""

    task: str = option("", "Task, which says what is predicted. Default: text, or stream for a run that learns online.")
    validation: float = option(
        0.1,
        "Share of the data that is held out for validation: of a text its end; of series see `split`.",
        above=0,
        below=1,
        online=False,
    )


@dataclass(frozen=True)
class ModelSettings:
    """Options of the model: the recurrent layers and dropout. The task adds the modules below and above them."""

    cell: CellName = option("lstm", "Recurrent cell.")
    nonlinearity: Literal["tanh", "relu", "identity"] = option("tanh", "Nonlinearity of `cell` rnn.")
    hidden_size: int = option(128, "Hidden units per layer.", least=1)
    num_layers: int = option(2, "Number of recurrent layers.", least=1, below=1001)
    dropout: float = option(0.0, "Dropout probability after each recurrent layer, in training.", least=0, below=1)


@dataclass(frozen=True)
class OptimizationSettings:
    """Options of the training: updates, gradient method, learning rate, limits."""

    batch_size: int = option(
        0,
        "Batch size: streams of the data that are read in parallel; 0: 50, or fewer for short data.",
        least=0,
        online=False,
    )
    update_every: int = option(
        50,
        "Sequence length of an update, in time steps. The gradient reaches back to the last update, or by `horizon`; "
        "the hidden state is carried on.",
        least=1,
    )
    gradient: str = option(
        "bptt",
        f"Gradient method: {', '.join(METHODS)}. truncated: each loss reaches back `horizon` steps; checkpointed: "
        "bptt in less memory, see `segments` and `memory`; scan: bptt with the steps in parallel. The others run "
        "forward in time, for `online` and small models: rtrl is exact; snap, uoro, rflo and eprop are approximations.",
    )
    horizon: int = option(
        0,
        "For `gradient` truncated: time steps that each loss reaches back, independent of `update_every`. The "
        "horizon - 1 steps before a chunk are computed again with the current weights, without a loss.",
        least=0,
    )
    order: int = option(
        1, "For `gradient` snap: number of connections over which a weight's influence is followed.", least=1
    )
    leak: float = option(0.0, "For `gradient` rflo: share of the state that a unit keeps per time step.")
    segments: int = option(
        0,
        "For `gradient` checkpointed: number of segments of a chunk; one segment at a time is kept in memory.",
        least=0,
    )
    memory: str = option(
        "", "For `gradient` checkpointed, in place of `segments`: memory for a layer's backward pass, such as 256MB."
    )
    burn_in: int = option(
        0,
        "Time steps at the start of each pass that only warm up the hidden state, without loss or gradient.",
        least=0,
        online=False,
    )
    chunk_jitter: bool = option(
        False,
        "Draw the length of each chunk at random around `update_every`, with the learning rate in proportion (Merity "
        "et al. 2017).",
        online=False,
    )
    online: bool = option(
        False,
        "Learn from a stream as it arrives, event by event: FILE, or - for standard input. No epochs, no held-out "
        "data, constant memory.",
    )
    epochs: int = option(
        0,
        "Passes over the training data; 0: 6 for a text, and for series as many as give 1000 updates, or 250 for "
        "`task` model.",
        least=0,
        online=False,
        resumable=True,
        former=6,
    )
    start_from: str = option(
        "",
        "Run folder whose trained model learns on from FILE, with its task and what that knows of the data. "
        "Default: a new model.",
        online=False,
    )
    learning_rate: float = option(0.005, "Learning rate of Adam after the warm-up.", above=0, below=1e30)
    schedule: Literal["cosine", "constant", "plateau"] = option(
        "cosine",
        "Learning-rate schedule. cosine: falls to 1/100 at the end; plateau: halves after each validation without "
        "improvement.",
        online=False,
    )
    warm_up: int = option(50, "Updates in which the learning rate rises to its full value.", least=0, online=False)
    clip_norm: float = option(1.0, "Clip the gradient to at most this norm; 0: no clipping.", least=0)
    clip_step: float = option(
        0.0,
        "Clip the gradient that reaches each hidden state, per sequence and time step, to at most this norm; 0: no "
        "clipping.",
        least=0,
    )
    save: Literal["gates", "states"] = option(
        "gates",
        "For `gradient` bptt: values kept for the backward pass. states: a third of the memory of gates (LSTM) or a "
        "fifth (GRU), for up to a quarter more time.",
    )
    validate_every: int = option(
        0, "Updates between two validations; 0: validate after each epoch.", least=0, online=False
    )
    patience: int = option(
        0,
        "Stop after this many validations in a row without improvement; 0: never.",
        least=0,
        online=False,
        resumable=True,
    )
    nonfinite: Literal["raise", "skip", "rescale", "restore"] = option(
        "raise",
        "Policy for a NaN or infinite gradient. raise: stop and locate the first; skip: skip the update; rescale: set "
        "such entries to 0 and limit the rest to the norm before; restore: return to weights of at most 100 updates "
        "ago.",
        online=False,
        resumable=True,
    )
    diagnose_every: int = option(
        0,
        "Updates between two diagnoses of the gradient's flow; 0: before the first update and after the last only.",
        least=0,
        online=False,
        resumable=True,
    )
    tensorboard: bool = option(
        False, "Also log to RUN/tensorboard, if TensorBoard is installed.", online=False, resumable=True
    )
    save_minutes: float = option(
        0.0,
        "Time in minutes between two checkpoints, from which a killed run goes on; 0: 2 minutes, online 20 seconds. "
        "They are rarer where they would take more than a fiftieth of the time.",
        least=0,
        resumable=True,
    )
    max_minutes: float = option(
        0.0,
        "Time limit in minutes, with reading and the last validation and diagnosis in it; 0: none.",
        least=0,
        resumable=True,
    )
    seed: int = option(0, "Random seed of weights, dropout and `chunk_jitter`.", least=0, below=2**63)
    threads: int = option(
        0,
        "CPU threads; 0: torch's default. On a busy machine 1 is often the fastest.",
        least=0,
        below=1024,
        resumable=True,
    )
    accelerator: Literal["auto", "cpu", "gpu"] = option("auto", "Device to train on.", online=False, resumable=True)


@dataclass(frozen=True)
class TaskSettings:
    """Options of a single task; a task derives its settings from this class.

    Raises:
        ArgumentError: when a class is derived, an option is of a type that options cannot have.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        check_types(cls)


@dataclass(frozen=True)
class RunSettings:
    """Settings that decide the result of a run.

    Args:
        file: the data, by path or by a word that the task knows.
        data: the task's name, and the held-out share.
        model: the recurrent layers and the dropout.
        optimization: how the model is trained.
        task: the options of the task alone; a plain `TaskSettings()` stands for the defaults of the task.
        held: what was read of the file already; None: nothing. It is none of the options.

    Raises:
        ArgumentError: a value of the wrong type or out of range, or values that do not fit together.
    """

    file: str
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    optimization: OptimizationSettings = OptimizationSettings()
    task: TaskSettings = TaskSettings()
    held: "Rows | SeriesSet | None" = field(default=None, repr=False, compare=False)

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
                if not told.online and value not in (entry.default, told.former):
                    raise ArgumentError(
                        entry.name, f"is {value}", "a run with `online` has no use for it", "leave it out"
                    )

    @property
    def source(self) -> "str | Rows | SeriesSet":
        """Data to read: what was read already, or the file."""
        return self.file if self.held is None else self.held

    def flat(self) -> dict[str, Any]:
        """Return all settings by option name, as in `config.yaml`."""
        return {"file": self.file, **{name: value for group in self.groups() for name, value in asdict(group).items()}}

    def lasting(self) -> dict[str, Any]:
        """Return the settings that no continuation may change, by option name."""
        kept = {entry.name for group in self.groups() for entry, _, told in options(type(group)) if not told.resumable}
        return {name: value for name, value in self.flat().items() if name in kept}
