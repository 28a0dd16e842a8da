import json
import math

from throughtime.benchmark.trainings import TrainingFigures, TrainingPair, TrainingTask
from throughtime.benchmark.trainings_report import (
    EXPLANATION,
    training_row,
    trainings_as_json,
    trainings_header,
    trainings_heading,
)

OURS, THEIRS = TrainingFigures(1.3165, 17.2, 158000.4), TrainingFigures(math.nan, 30.0, 79000.0)


def test_a_row_has_its_figures_under_their_names():
    assert trainings_header().split() == ["layers", "loss", "s", "tokens/s", "ratio"]
    assert training_row("throughtime", OURS).split() == ["throughtime", "1.316500", "17.2", "158,000"]
    assert training_row("torch.nn", THEIRS, 2.0).split() == ["torch.nn", "nan", "30.0", "79,000", "2.000"]
    assert len(training_row("torch.nn", OURS, 2.0)) == len(trainings_header())
    for line in EXPLANATION:
        assert len(line) <= 120


def test_the_heading_says_what_is_trained():
    task = TrainingTask("text.txt", "gru", hidden_size=5, epochs=1)
    assert trainings_heading(task) == "-- text.txt: gru, 2 layers of 5, 1 epoch"


def test_everything_is_json():
    content = trainings_as_json({"threads": 2}, [TrainingTask("x")], [TrainingPair("lstm", OURS, THEIRS)], False)
    again = json.loads(json.dumps(content, allow_nan=False))
    assert again["trainings"][0]["ratio"] == OURS.tokens_per_second / 79000
    assert again["trainings"][0]["torch"]["loss"] == "nan" and not again["complete"]
    assert again["machine"] == {"threads": 2} and again["tasks"][0]["file"] == "x"
