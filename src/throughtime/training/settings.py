"""What a run can be told, without importing torch: the command line and `config.yaml` fill these classes."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any, Literal, get_type_hints

from throughtime.errors import ArgumentError
from throughtime.training.gradient import METHODS, check_choice


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class DataSettings:
    """How the file is read and cut."""

    units: Literal["characters", "bytes"] = _option("characters", "What the model reads and predicts one at a time.")
    encoding: str = _option("utf-8", "How the bytes of the file spell characters.")
    validation: float = _option(0.1, "Share of the text, at its end, that is held out and never trained on.")


@dataclass(frozen=True)
class ModelSettings:
    """What is trained: embedding, recurrent layers, dropout, linear readout."""

    cell: Literal["lstm", "gru", "rnn"] = _option("lstm", "The recurrent cell.")
    nonlinearity: Literal["tanh", "relu", "identity"] = _option("tanh", "The nonlinearity of --cell rnn.")
    hidden_size: int = _option(128, "Hidden units per layer.")
    num_layers: int = _option(2, "Recurrent layers, one above the other.")
    embedding_size: int = _option(0, "Size of the vector a symbol is turned into; 0: as --hidden-size.")
    dropout: float = _option(0.0, "Share of the activations dropped above each layer while training.")


@dataclass(frozen=True)
class OptimizationSettings:
    """How it is trained."""

    batch_size: int = _option(0, "Streams of text read side by side; 0: 50, or fewer where the text is short.")
    update_every: int = _option(
        50,
        "Steps of the sequence between two updates of the weights, whose losses make the update. The state goes on; "
        "the gradient goes back to the last update, or by --horizon.",
    )
    gradient: str = _option(
        "bptt",
        f"How the gradient is obtained: {', '.join(METHODS)}. truncated: each loss reaches back --horizon steps; "
        "checkpointed: as bptt, in less memory, see --segments and --memory; scan: as bptt, steps in parallel. The "
        "others carry the weights' influence forwards, for --online and small models: rtrl is exact, snap, uoro, "
        "rflo and eprop are approximations.",
    )
    horizon: int = _option(
        0,
        "Steps that each loss reaches back, whatever --update-every is, for --gradient truncated. The horizon - 1 "
        "steps before a chunk are run again with it, under today's weights, without a loss of their own.",
    )
    order: int = _option(1, "Connections that a weight's influence is followed over, for --gradient snap.")
    leak: float = _option(0.0, "Share of its state that a unit keeps from step to step, for --gradient rflo.")
    segments: int = _option(
        0, "Segments that a chunk is divided into, of which one at a time is kept, for --gradient checkpointed."
    )
    memory: str = _option("", "In place of --segments: what the backward pass of a layer may keep, such as 256MB.")
    burn_in: int = _option(
        0,
        "Steps at the beginning of each pass that only warm up the state, in every stream: no loss is taken there and "
        "no gradient goes there.",
    )
    chunk_jitter: bool = _option(
        False,
        "Draw the length of each chunk around --update-every, anew in each pass (Merity et al. 2017): with the same "
        "number of updates, and the learning rate in proportion to the length.",
    )
    online: bool = _option(
        False,
        "Learn from a stream of bytes while it comes: FILE, or - for standard input. There are no epochs and no "
        "held-out text; the memory does not grow.",
    )
    epochs: int = _option(6, "Passes through the training text.")
    learning_rate: float = _option(0.005, "Adam's learning rate after the warm-up.")
    schedule: Literal["cosine", "constant", "plateau"] = _option(
        "cosine",
        "cosine: falls to a hundredth at the end; plateau: halves after a validation without improvement.",
    )
    warm_up: int = _option(50, "Updates in which the learning rate rises to its full value.")
    clip_norm: float = _option(1.0, "Largest norm of the whole gradient; a longer one is rescaled. 0: no limit.")
    clip_step: float = _option(
        0.0, "Largest norm of the gradient that reaches one hidden state, per sequence and step; 0: no limit."
    )
    save: Literal["gates", "states"] = _option(
        "gates",
        "What is kept for the backward pass of --gradient bptt. states: a third of it (LSTM) or a fifth (GRU), "
        "up to a quarter more time.",
    )
    validate_every: int = _option(0, "Updates between two validations; 0: one after each pass.")
    patience: int = _option(0, "Stop after this many validations in a row without improvement; 0: never.")
    nonfinite: Literal["raise", "skip", "rescale", "restore"] = _option(
        "raise",
        "What to do where a gradient is NaN or infinite. raise: stop and say where; skip: pass over the update; "
        "rescale: set such entries to 0 and the rest to at most the norm before; restore: go back to a copy of the "
        "weights that is at most 100 updates old.",
    )
    diagnose_every: int = _option(
        0,
        "Updates between two diagnoses of the gradient's flow; 0: one before the first update and one after the last.",
    )
    tensorboard: bool = _option(False, "Also write scalars to RUN/tensorboard, for TensorBoard, if it is installed.")
    max_minutes: float = _option(0.0, "Stop after this many minutes, with a last validation; 0: never.")
    seed: int = _option(0, "Seed of the weights, of the dropout and of --chunk-jitter.")
    threads: int = _option(
        0,
        "Threads on the CPU; 0: torch's choice. Beside other work on the machine 1 is often the fastest.",
    )
    accelerator: Literal["auto", "cpu", "gpu"] = _option("auto", "Where the model is trained.")


GROUPS: dict[str, type[DataSettings] | type[ModelSettings] | type[OptimizationSettings]] = {
    "data": DataSettings,
    "model": ModelSettings,
    "optimization": OptimizationSettings,
}
MAY_CHANGE_ON_RESUME = (
    "file", "epochs", "max_minutes", "patience", "threads", "accelerator", "nonfinite", "diagnose_every", "tensorboard",
)  # fmt: skip
"""The settings of a run that a continuation may alter; every other one would make it another run."""


@dataclass(frozen=True)
class RunSettings:
    """Everything that decides what a run computes; raises `ArgumentError` on construction when a value is off."""

    file: str
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    optimization: OptimizationSettings = OptimizationSettings()

    def __post_init__(self) -> None:
        for name, low, high, closed in _RANGES:
            value = self.flat()[name]
            inside = (low <= value if closed else low < value) and value < high
            if not inside:
                raise ArgumentError(_out_of_range(name, value, low, high, closed))
        check_choice(self.optimization)
        self._check_online()
        if self.model.nonlinearity != "tanh" and self.model.cell != "rnn":
            raise ArgumentError(
                f"--nonlinearity {self.model.nonlinearity} goes with --cell rnn only, and the cell is "
                f"{self.model.cell}: leave it out or choose --cell rnn."
            )

    def _check_online(self) -> None:
        """Refuse what has no meaning on a stream."""
        if not self.optimization.online:
            return
        values, standard = self.flat(), RunSettings(self.file).flat()
        for name in _NOT_ONLINE:
            if values[name] != standard[name]:
                flag, value = f"--{name.replace('_', '-')}", values[name]
                raise ArgumentError(f"{flag} is {value}, and --online has no use for it: leave it out.")

    def flat(self) -> dict[str, Any]:
        """Return all settings by option name, as `config.yaml` keeps them."""
        return {"file": self.file, **asdict(self.data), **asdict(self.model), **asdict(self.optimization)}

    @classmethod
    def from_flat(cls, values: Mapping[str, Any]) -> "RunSettings":
        """Build the settings from values by option name; what is missing keeps its default."""
        groups = {
            group: kind(**{entry.name: values[entry.name] for entry in fields(kind) if entry.name in values})
            for group, kind in GROUPS.items()
        }
        return cls(file=str(values["file"]), **groups)  # pyright: ignore[reportArgumentType]


def options(kind: type) -> Iterator[tuple[Field[Any], Any]]:
    """Yield each field of a settings class with its type, for the command line to make an option of."""
    hints = get_type_hints(kind)
    for entry in fields(kind):
        yield entry, hints[entry.name]


_NOT_ONLINE = (
    "validation", "encoding", "batch_size", "epochs", "schedule", "warm_up", "burn_in", "chunk_jitter",
    "validate_every", "patience", "accelerator", "nonfinite", "diagnose_every", "tensorboard",
)  # fmt: skip

# Name, lower end, upper end (never reached), and whether the lower end itself is allowed.
_RANGES: tuple[tuple[str, float, float, bool], ...] = (
    ("validation", 0, 1, False),
    ("hidden_size", 1, math.inf, True),
    ("num_layers", 1, math.inf, True),
    ("embedding_size", 0, math.inf, True),
    ("dropout", 0, 1, True),
    ("batch_size", 0, math.inf, True),
    ("update_every", 1, math.inf, True),
    ("epochs", 1, math.inf, True),
    ("learning_rate", 0, math.inf, False),
    ("warm_up", 0, math.inf, True),
    ("clip_norm", 0, math.inf, True),
    ("clip_step", 0, math.inf, True),
    ("validate_every", 0, math.inf, True),
    ("patience", 0, math.inf, True),
    ("max_minutes", 0, math.inf, True),
    ("diagnose_every", 0, math.inf, True),
    ("threads", 0, 1024, True),
    ("horizon", 0, math.inf, True),
    ("segments", 0, math.inf, True),
    ("burn_in", 0, math.inf, True),
    ("seed", 0, 2**63, True),
    ("order", 1, math.inf, True),
    ("leak", -math.inf, math.inf, False),
)


def _out_of_range(name: str, value: float, low: float, high: float, closed: bool) -> str:
    option = "--" + name.replace("_", "-")
    lower = f"{'at least' if closed else 'above'} {low:g}"
    upper = "" if high == math.inf else f" and below {high}"
    return f"{option} is {value}; it must be {lower}{upper}."
