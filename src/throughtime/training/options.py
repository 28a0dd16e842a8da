"""Options of a training, as keyword arguments."""

from typing import Literal, TypedDict


class FitOptions(TypedDict, total=False):
    """Options of `fit`: those of `throughtime train`, by their names with underscores.

    `throughtime train --help` describes each of them.
    """

    validation: float
    cell: Literal["lstm", "gru", "rnn"]
    nonlinearity: Literal["tanh", "relu", "identity"]
    hidden_size: int
    num_layers: int
    dropout: float
    batch_size: int
    update_every: int
    gradient: str
    horizon: int
    order: int
    leak: float
    segments: int
    memory: str
    burn_in: int
    chunk_jitter: bool
    epochs: int
    learning_rate: float
    schedule: Literal["cosine", "constant", "plateau"]
    warm_up: int
    clip_norm: float
    clip_step: float
    save: Literal["gates", "states"]
    validate_every: int
    patience: int
    nonfinite: Literal["raise", "skip", "rescale", "restore"]
    diagnose_every: int
    tensorboard: bool
    save_minutes: float
    max_minutes: float
    seed: int
    threads: int
    accelerator: Literal["auto", "cpu", "gpu"]
    start_from: str
    format: str
    layout: str
    target: str
    id: str
    time: str
    static: str
    ignore: str
    weight: str
    class_weight: Literal["none", "balanced"]
    split: Literal["auto", "series", "time", "file"]
    distribution: Literal["auto", "bernoulli", "categorical", "normal", "student-t", "quantiles", "poisson"]
    ahead: int
    levels: str
    known: str
    past: str
    scale: Literal["auto", "none", "global", "series"]
    transform: Literal["auto", "none", "log"]
    around: Literal["auto", "nothing", "last", "season", "moved", "linear"]
    season: int
    freq: str
    calendar: bool
    units: Literal["characters", "bytes"]
    encoding: str
    embedding_size: int
