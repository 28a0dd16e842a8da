import json
import math

import pytest

from throughtime.runs.recording.progress import Progress


def _progress():
    progress = Progress()
    progress.note_update(2.0, 30, gradient_norm=3.0, clipped=True)
    progress.note_update(4.0, 10, gradient_norm=1.0, clipped=False)
    progress.window.seconds = 0.5
    progress.seconds = 0.75
    return progress


def test_a_row_holds_means_over_the_updates_since_the_last_one():
    progress = _progress()
    assert progress.note_validation(1.5, epoch=0.25, learning_rate=1e-3)
    (row,) = progress.rows
    assert row.update == 2 and row.epoch == 0.25 and row.learning_rate == 1e-3
    assert row.train_loss == pytest.approx((2.0 * 30 + 4.0 * 10) / 40)
    assert row.gradient_norm == 2.0 and row.clipped == 0.5
    assert row.tokens_per_second == 80.0 and row.seconds == 0.75
    progress.note_update(1.0, 30, gradient_norm=1.0, clipped=False)
    progress.note_validation(1.4, epoch=0.5, learning_rate=1e-3)
    assert progress.rows[1].train_loss == 1.0


def test_the_best_validation_is_remembered_and_the_others_are_counted():
    progress = Progress()
    found = []
    for loss in (3.0, 2.0, 2.0, 2.5, 1.0, math.nan):
        progress.note_update(1.0, 1, 1.0, False)
        found.append(progress.note_validation(loss, 1.0, 1.0))
    assert found == [True, True, False, False, True, False]
    assert (progress.best_loss, progress.best_update) == (1.0, 5)
    assert (progress.stale, progress.reductions) == (1, 3)


def test_progress_survives_a_checkpoint():
    progress = _progress()
    progress.note_validation(1.5, 0.25, 1e-3)
    progress.note_update(2.0, 30, 3.0, True)
    restored = Progress.from_state_dict(json.loads(json.dumps(progress.state_dict())))
    assert restored == progress


def test_results_of_a_run_without_validation_claim_nothing():
    results = _progress().results(updates_per_epoch=8)
    assert results.best_validation_loss is None and results.last_validation_loss is None
    assert results.epochs == 0.25
