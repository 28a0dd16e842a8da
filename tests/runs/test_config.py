"""`config.yaml`: what is damaged, edited, or of another run."""

import json
from dataclasses import replace

import pytest
import torch
import yaml
from runs.running import at_update, press_ctrl_c, silent, with_options

from throughtime.errors import RunFolderError
from throughtime.records import read_record
from throughtime.runs.config import read_config, write_config
from throughtime.runs.engine import resume, start
from throughtime.runs.interruption import InterruptedRunError


@pytest.mark.parametrize("content", ["", "a: [", "- 1", "file: x\nvalidation: abc\n"])
def test_a_damaged_config_is_named(tmp_path, content):
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(RunFolderError, match="config.yaml is damaged"):
        read_config(tmp_path)


def test_a_value_out_of_range_is_named(small_run, tmp_path):
    write_config(tmp_path, small_run)
    path = tmp_path / "config.yaml"
    path.write_text(path.read_text().replace("hidden_size: 7", "hidden_size: 0"))
    with pytest.raises(RunFolderError, match="config.yaml is damaged: hidden_size is 0; it must be at least 1"):
        read_config(tmp_path)


@pytest.fixture
def interrupted(small_run, tmp_path, monkeypatch):
    """A run that was stopped in its middle."""
    with monkeypatch.context() as patch:
        at_update(patch, 20, press_ctrl_c)
        with pytest.raises(InterruptedRunError):
            start(small_run, tmp_path / "run", False, silent)
    return tmp_path / "run"


def _edit(folder, **changes):
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))
    return read_config(folder)


def test_an_edited_config_is_refused(interrupted):
    wanted = _edit(interrupted, learning_rate=0.5)
    with pytest.raises(RunFolderError, match="says `learning_rate` 0.5, but .* trained with 0.02, as record.json says"):
        resume(wanted, interrupted, silent)
    with pytest.raises(RunFolderError, match="says `embedding_size` 9, but .* trained with 5"):
        resume(_edit(interrupted, learning_rate=0.02, embedding_size=9), interrupted, silent)


def test_an_edited_config_and_record_are_refused_by_the_checkpoint(interrupted):
    wanted = _edit(interrupted, seed=3)
    path = interrupted / "record.json"
    values = json.loads(path.read_text())
    values["settings"]["seed"] = 3
    path.write_text(json.dumps(values))
    with pytest.raises(RunFolderError, match="says `seed` 3, but .* trained with 0, as last.ckpt says"):
        resume(wanted, interrupted, silent)


def test_what_a_continuation_may_change_may_be_edited(interrupted):
    record = resume(_edit(interrupted, epochs=1, nonfinite="skip"), interrupted, silent)
    assert record is not None and record.results.epochs == 1


def test_a_run_that_kept_no_settings_goes_on(small_run, interrupted):
    """As those of version 0.1.0."""
    path = interrupted / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "settings": {}}))
    state = torch.load(interrupted / "last.ckpt", weights_only=True)
    del state["throughtime"]["settings"]
    torch.save(state, interrupted / "last.ckpt")
    assert read_record(interrupted).settings == {}
    assert resume(replace(small_run), interrupted, silent) is not None
    assert read_config(interrupted) == with_options(small_run)
