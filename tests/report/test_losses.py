import math

import pytest
from report.drawn import axes_of
from report.records_of import BASELINES, metrics, updates

from throughtime.records import Baselines, UpdateRow
from throughtime.report.losses import losses
from throughtime.report.sentences import Absent, LookFor


def test_the_losses_stand_beside_the_baselines():
    exhibit = losses(metrics(), [], BASELINES, stream=False)
    axes = axes_of(exhibit.panels[0])
    assert [text.get_text() for text in axes.texts] == ["bigram", "unigram", "uniform"]
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.get_lines() if line.get_label()[0] != "_"}
    assert lines == {
        "training": [row.train_loss for row in metrics()],
        "validation": [row.validation_loss for row in metrics()],
    }
    assert "validation from 3.875 to 1.919; bigram 2.4, unigram 3.1, uniform 4.5." in exhibit.panels[0].alt


def test_the_training_curve_has_every_update_where_they_were_recorded():
    exhibit = losses(metrics(1), updates(7), BASELINES, stream=False)
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes_of(exhibit.panels[0]).get_lines()}
    assert lines["training"] == [[row.update, row.loss] for row in updates(7)]
    assert lines["validation"] == [[100, 3.875]], "a run of one epoch has one validation, and still a curve"
    assert "training from 4.5 to 4.473, validation from 3.875" in exhibit.panels[0].alt


def test_of_many_updates_the_mean_of_neighbours_is_drawn():
    rows = [*updates(479), UpdateRow(480, math.nan, math.inf, 0.0, math.nan)]
    lines = {
        line.get_label(): line for line in axes_of(losses([], rows, BASELINES, stream=False).panels[0]).get_lines()
    }
    assert "validation" not in lines, "there was none yet"
    drawn = lines["training, mean of 2 updates"].get_xydata().tolist()
    assert len(drawn) == 240 and drawn[1] == pytest.approx([4, (rows[2].loss + rows[3].loss) / 2])
    assert drawn[-1] == pytest.approx([480, rows[478].loss]), "what is not finite is left out of the mean"


def test_baselines_that_coincide_share_a_line():
    axes = axes_of(losses(metrics(), [], Baselines(3.0, 3.0, 3.0), stream=True, units="bytes").panels[0])
    assert [text.get_text() for text in axes.texts] == ["bigram\nunigram\nuniform"]
    assert sum(line.get_label() == "loss on unseen bytes" for line in axes.get_lines()) == 1


def test_another_task_has_its_units_and_no_word_of_texts():
    for stream, look in ((False, LookFor.OTHER_LOSSES), (True, LookFor.OTHER_STREAM_LOSSES)):
        exhibit = losses(metrics(), [], {"mean": 3.0}, stream, "m² per series", "series")
        axes, (told,) = axes_of(exhibit.panels[0]), exhibit.tables
        assert axes.get_ylabel() == "m² per series" and exhibit.panels[0].alt.startswith("Losses (m² per series): ")
        assert told.caption == "Losses: m² per series" and "series/s" in told.heads
        assert exhibit.look_for == look.value and "symbol" not in look.value and "byte" not in look.value
    assert "loss on unseen series" in exhibit.panels[0].alt


def test_without_a_validation_a_sentence_stands():
    assert losses([], [], BASELINES, stream=False).panels[0].instead == Absent.NO_VALIDATION.value
