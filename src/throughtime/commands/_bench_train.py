"""Train the same model with throughtime's and torch.nn's layers: `throughtime bench --train`."""

from typing import TYPE_CHECKING

from throughtime.benchmark.grid import CELLS
from throughtime.commands._bench_options import checked_targets, choice, chosen_instruction_set
from throughtime.commands._output_files import write_json
from throughtime.commands._terminal import progress, say
from throughtime.errors import ArgumentError

if TYPE_CHECKING:
    from jsonargparse import Namespace

    from throughtime.benchmark.trainings import TrainingPair, TrainingTask


def run_train(arguments: "Namespace") -> int:
    """Train in pairs and print line by line; return 0.

    Raises:
        ThroughtimeError: an option is wrong or the text cannot be read, before any work; or a file cannot be written,
            after all of it.
    """
    for name in ("methods", "tap", "quick", "shapes", "variants", "plot"):
        if getattr(arguments, name):
            raise ArgumentError(name, "came with `train`", "it is not for trainings", "leave it out")
    if arguments.repeat < 1:
        raise ArgumentError("repeat", f"is {arguments.repeat}", "it must be at least 1")
    cells = choice("cells", arguments.cells or "lstm", list(CELLS))
    target = checked_targets(arguments)["json"]
    from throughtime.benchmark.machine import lines, machine
    from throughtime.benchmark.measure import threads
    from throughtime.benchmark.trainings import TrainingTask
    from throughtime.benchmark.trainings_report import EXPLANATION, trainings_as_json, trainings_heading

    sizes = (arguments.hidden_size, arguments.num_layers, arguments.epochs, arguments.threads)
    tasks = [TrainingTask(arguments.train, cell, *sizes) for cell in cells]
    headings = [trainings_heading(task) for task in tasks]  # which refuses a wrong size
    pairs: list[TrainingPair] = []
    with threads(arguments.threads), chosen_instruction_set(arguments.instruction_set):
        around = machine()
        for line in (*lines(around), "", *EXPLANATION, ""):
            say(line)
        try:
            for task, heading in zip(tasks, headings, strict=True):
                say(heading)
                _train_pairs(task, arguments.repeat, pairs)
        finally:
            # Also after Ctrl-C or an error: what was measured is not lost.
            complete = len(pairs) == arguments.repeat * len(tasks)
            if not complete:
                say("Ended early.")
            if target:
                write_json(trainings_as_json(around, tasks, pairs, complete), target)
    return 0


def _train_pairs(task: "TrainingTask", repeat: int, pairs: "list[TrainingPair]") -> None:
    """Append the pairs of a task, and print each training."""
    from throughtime.benchmark.trainings import TrainingPair, train_text
    from throughtime.benchmark.trainings_report import training_row, trainings_header

    say(trainings_header())
    for number in range(1, repeat + 1):
        progress(f"{number} of {repeat}: {task.cell} ...")
        ours = train_text(task, with_torch=False)
        say(training_row("throughtime", ours))
        pairs.append(TrainingPair(task.cell, ours, train_text(task, with_torch=True)))
        progress("")
        say(training_row("torch.nn", pairs[-1].torch, pairs[-1].ratio))
