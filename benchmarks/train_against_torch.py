"""Trains the same model on the same text in the same way, once with throughtime's layers and once with torch.nn's.

Same seed, same initial weights, same chunks, same Lightning loop; only the recurrent layers differ. The two
take turns in this process, with the same number of threads.

    python benchmarks/train_against_torch.py pydoc --cell lstm --epochs 2 --threads 1
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from throughtime.records import Record
from throughtime.runs.engine import start
from throughtime.runs.settings import ModelSettings, OptimizationSettings, RunSettings

TORCH_LAYERS: dict[str, Callable[..., nn.Module]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


def main() -> None:
    """Run both, print both, and what they differ by."""
    options = _options()
    model = ModelSettings(cell=options.cell, hidden_size=options.hidden_size, num_layers=options.num_layers)
    settings = RunSettings(
        options.file,
        model=model,
        optimization=OptimizationSettings(epochs=options.epochs, threads=options.threads, accelerator="cpu"),
    )
    print(f"{options.file}: {options.cell.upper()} {model.num_layers} x {model.hidden_size}, {options.epochs} epochs")
    print(f"torch {torch.__version__}, {options.threads or torch.get_num_threads()} threads")
    print(f"{'layers':<12}{'validation loss, nats':>24}{'seconds':>10}{'tokens/s':>12}")
    ratios = []
    for _ in range(options.repeat):
        ours = _train(settings, "throughtime", None)
        theirs = _train(settings, "torch.nn", _torch_layers(model))
        ratios.append(ours.results.tokens_per_second / theirs.results.tokens_per_second)
    print(f"tokens/s of throughtime over torch.nn: {', '.join(f'{ratio:.3f}' for ratio in ratios)}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", nargs="?", default="pydoc", help="a file of text, or pydoc")
    parser.add_argument("--cell", choices=sorted(TORCH_LAYERS), default="lstm")
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--num-layers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=OptimizationSettings.epochs)
    parser.add_argument("--threads", type=int, default=0, help="0: torch's choice")
    parser.add_argument("--repeat", type=int, default=1, help="how often the pair is run")
    return parser.parse_args()


def _torch_layers(model: ModelSettings) -> Callable[[], nn.Module]:
    # The task's embedding is as wide as the hidden state where nothing else is asked for.
    return lambda: TORCH_LAYERS[model.cell](model.hidden_size, model.hidden_size, model.num_layers)


def _train(settings: RunSettings, name: str, recurrent: Callable[[], nn.Module] | None) -> Record:
    with tempfile.TemporaryDirectory() as folder:
        record = start(settings, Path(folder) / "run", False, lambda line: None, recurrent)
    results = record.results
    print(f"{name:<12}{results.best_validation_loss:>24.6f}{results.seconds:>10.1f}{results.tokens_per_second:>12,.0f}")
    return record


if __name__ == "__main__":
    main()
