"""throughtime evaluate RUN FILE: how well a trained model predicts a text."""

from pathlib import Path
from typing import TYPE_CHECKING

from throughtime.commands._terminal import say
from throughtime.errors import InputFileError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

HELP = "Measure how well a trained model predicts a file of text."


def add_arguments(parser: "ArgumentParser") -> None:
    """Declare the options of `throughtime evaluate`."""
    parser.add_argument("run", type=str, metavar="RUN", help="A run folder that throughtime train wrote.")
    parser.add_argument("file", type=str, metavar="FILE", help="A file of text, or pydoc.")
    parser.add_argument(
        "--skip-unknown", action="store_true", help="Leave out the characters that the model never saw in training."
    )


def run(arguments: "Namespace") -> int:
    """Print the loss beside the file's own entropies."""
    import math

    from throughtime.data.entropies import bigram_entropy, unigram_entropy
    from throughtime.data.streams import held_out_streams
    from throughtime.records import Baselines
    from throughtime.report.losses import unit
    from throughtime.training.checkpoints import load_run
    from throughtime.training.evaluation import mean_loss
    from throughtime.training.material import read_known
    from throughtime.training.sentences import baseline_lines, verdict_sentence
    from throughtime.wording import plural

    model, vocabulary, record = load_run(Path(arguments.run))
    file, codes, unknown = read_known(arguments.file, vocabulary, record.data.encoding, arguments.skip_unknown)
    if len(codes) < 2:
        raise InputFileError(f"FILE {file.name} is too short: it takes 2 known {vocabulary.units} to predict one.")
    left_out = f", {plural(unknown, 'unknown one')} left out" if unknown else ""
    say(f"Text    {file.name}: {plural(len(codes), unit(vocabulary.units))}{left_out}")
    baselines = Baselines(math.log(len(vocabulary)), unigram_entropy(codes), bigram_entropy(codes))
    for line in baseline_lines(baselines, vocabulary.units):
        say(line)
    loss = mean_loss(model, held_out_streams(codes))
    say(verdict_sentence(loss, baselines, vocabulary.units))
    return 0
