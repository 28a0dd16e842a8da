"""Write text with a trained model: `throughtime sample RUN`."""

from pathlib import Path
from typing import TYPE_CHECKING

from throughtime.commands._terminal import write
from throughtime.errors import ArgumentError
from throughtime.records.ranges import shown

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

HELP = "Write text with a trained model."

LONGEST = 10_000_000
"""Largest number of steps of a sample, hours of drawing."""


def add_arguments(parser: "ArgumentParser") -> None:
    """Declare the options of `throughtime sample`."""
    parser.add_argument("run", type=str, metavar="RUN", help="Run folder that throughtime train wrote.")
    parser.add_argument(
        "--length", type=int, default=500, help="Number of steps to draw; of a text, characters or bytes. (%(default)s)"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.8,
        help="Randomness: below 1 more cautious, above 1 bolder; 0: always the most likely. (%(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="Random seed; the same seed gives the same sample. (%(default)s)"
    )
    parser.add_argument(
        "--prompt", type=str, default="", help="Start to continue, as text; empty: the task's default start."
    )


def run(arguments: "Namespace") -> int:
    """Write the prompt and the sample to stdout, step by step."""
    if arguments.length > LONGEST:
        raise ArgumentError(
            "length", f"is {shown(arguments.length)}", f"it must be at most {LONGEST}", "draw several samples"
        )
    import torch

    from throughtime.runs.checkpoints import load_run

    task, model, _ = load_run(Path(arguments.run))
    if not 0 <= arguments.seed < 2**63:
        raise ArgumentError("seed", f"is {shown(arguments.seed)}", f"it must be at least 0 and below {2**63}")
    generator = torch.Generator().manual_seed(arguments.seed)
    for piece in task.samples(model, arguments.prompt, arguments.length, arguments.temperature, generator):
        write(piece)
    write("\n")
    return 0
