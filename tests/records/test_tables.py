import pytest

from throughtime.errors import RunFolderError
from throughtime.records import STEP_NORMS, UPDATES, StepNormRow, UpdateRow, read_table, write_table

UPDATE_ROWS = [UpdateRow(1, 2.5, 0.75, 1.0, 0.0), UpdateRow(2, 2.25, float("inf"), 0.5, 0.125)]
STEP_ROWS = [StepNormRow(1, 'a "quoted", layer', 0, 0.1), StepNormRow(1, "rnn.l1", 1, 1e-30)]


@pytest.mark.parametrize(
    "name, kind, rows",
    [(UPDATES, UpdateRow, UPDATE_ROWS), (STEP_NORMS, StepNormRow, STEP_ROWS), (UPDATES, UpdateRow, [])],
)
def test_what_is_written_is_read_again(tmp_path, name, kind, rows):
    write_table(tmp_path / name, kind, rows)
    assert read_table(tmp_path, name, kind) == rows


def test_a_table_of_another_kind_is_refused(tmp_path):
    write_table(tmp_path / UPDATES, UpdateRow, UPDATE_ROWS)
    with pytest.raises(RunFolderError, match=r"updates.csv is damaged"):
        read_table(tmp_path, UPDATES, StepNormRow)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(RunFolderError, match="has no step_norms.csv"):
        read_table(tmp_path, STEP_NORMS, StepNormRow)


@pytest.mark.parametrize("text", ["", '{"x": [1', "update,layer,step\n1,rnn.l0,2\n"])
def test_a_table_without_its_heading_is_damaged_not_empty(tmp_path, text):
    (tmp_path / STEP_NORMS).write_text(text)
    with pytest.raises(RunFolderError, match="damaged: .*delete it, and what it holds is left out, or restore it"):
        read_table(tmp_path, STEP_NORMS, StepNormRow)
