import pytest
from runs.running import alphabet

from throughtime.records import Baselines, MetricsRow
from throughtime.report.loss_sentences import both
from throughtime.runs.recording.sentences import divergence_lines, update_phrase, validation_line
from throughtime.runs.settings import OptimizationSettings
from throughtime.runs.tasks.base import Metric

TASK = alphabet(5)
BASELINES = Baselines(uniform=4.0, unigram=3.0, bigram=2.0)


def test_the_line_of_a_validation_shows_the_loss_beside_both_entropies_and_fits_a_terminal():
    line = validation_line(TASK, MetricsRow(168, 1.0, 2.25, 1.75, 1e-3, 1.0, 0.0, 43210.0, 99.0), 100, BASELINES)
    for part in (
        "train 2.250",
        "validation 1.750 nats (2.525 bits)",
        "bigram 2.000",
        "unigram 3.000",
        "43.2k bytes/s",
    ):
        assert part in line
    assert len(line) <= 120


def _rows(*losses, per_epoch):
    return [
        MetricsRow(index + 1, (index + 1) / per_epoch, loss, 1.0, 1e-3, 1.0, 0.0, 1.0, 1.0)
        for index, loss in enumerate(losses)
    ]


@pytest.mark.parametrize(
    ("rows", "diverged"),
    [
        (_rows(2.0, 4.1, per_epoch=1), True),
        (_rows(4.1, 2.0, per_epoch=1), False),
        (_rows(2.0, 4.0, per_epoch=1), False),
        (_rows(2.0, 5.0, 4.5, 4.25, per_epoch=3), True),
        (_rows(2.0, 3.9, 4.5, 4.2, per_epoch=3), False),
        (_rows(4.5, 4.2, per_epoch=3), False),
        (_rows(4.5, 4.2, 4.1, per_epoch=3), True),
        ([], False),
    ],
)
def test_a_loss_above_even_chances_for_a_whole_last_epoch_is_a_divergence(rows, diverged):
    lines = divergence_lines(TASK, rows, BASELINES)
    assert bool(lines) is diverged
    if diverged:
        assert f"at least {both(min(row.train_loss for row in rows[-3:] if row.train_loss > 4))}" in lines[0]
        assert "(uniform) has 4.000 nats" in lines[0] and "`learning_rate`" in lines[1]


def test_an_update_says_what_it_covers():
    assert update_phrase(OptimizationSettings(update_every=1), 1) == "1 step of 1 stream"
    cut = OptimizationSettings(update_every=5, gradient="truncated", horizon=9, chunk_jitter=True)
    assert update_phrase(cut, 3) == "about 5 steps of 3 streams, each loss reaching back 9 steps"


def test_the_first_metrics_stand_beside_the_loss():
    metrics = [Metric("accuracy", 0.98765), Metric("RMSE", 12.5, "m"), Metric("a", 1.0), Metric("b", 2.0)]
    row = MetricsRow(168, 1.0, 2.25, 1.75, 1e-3, 1.0, 0.0, 43210.0, 99.0)
    line, plain = (validation_line(TASK, row, 100, BASELINES, told) for told in (metrics, ()))
    assert "accuracy 0.9877  RMSE 12.5  a 1  " in line and "b 2" not in line
    assert line.replace("accuracy 0.9877  RMSE 12.5  a 1  ", "") == plain
