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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("update,loss,gradient_norm,scale,clipped_steps\n1,2.5,0.5,1.0,0.", "it ends in the middle of a line"),
        (
            "update,loss,gradient_norm,scale,clipped_steps\n1,2.5,-0.5,1.0,0.0\n",
            "line 2.gradient_norm is -0.5; it must",
        ),
        (
            "update,loss,gradient_norm,scale,clipped_steps\n1,2.5,0.5,1.0\n",
            "line 2 has 4 entries; it must be a list of 5",
        ),
        (
            "update,loss,gradient_norm,scale,clipped_steps\n1_0,2.5,0.5,1.0,0.0\n",
            "line 2.update is '1_0'; it must be a w",
        ),
        (
            "update,loss,gradient_norm,scale,clipped_steps\n2,2.5,0.5,1.0,0.0\n2,2.5,0.5,1.0,0.0\n",
            "line 3.update is 2 after 2; it must be in ascending order",
        ),
        ("update,loss\n", "its heading is 'update,loss'; it must be update,loss,gradient_norm,scale,clipped_steps"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, text, said):
    (tmp_path / UPDATES).write_text(text)
    with pytest.raises(RunFolderError) as error:
        read_table(tmp_path, UPDATES, UpdateRow)
    assert f"updates.csv is damaged: {said}" in str(error.value)


def test_a_table_that_a_spreadsheet_marked_is_read(tmp_path):
    write_table(tmp_path / UPDATES, UpdateRow, UPDATE_ROWS)
    (tmp_path / UPDATES).write_bytes(b"\xef\xbb\xbf" + (tmp_path / UPDATES).read_bytes())
    assert read_table(tmp_path, UPDATES, UpdateRow) == UPDATE_ROWS
