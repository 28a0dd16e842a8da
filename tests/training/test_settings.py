import math
import subprocess
import sys
from dataclasses import replace

import pytest

from throughtime.errors import ArgumentError
from throughtime.training.settings import GROUPS, MAY_CHANGE_ON_RESUME, ModelSettings, RunSettings, options


def test_flat_settings_come_back():
    settings = RunSettings.from_flat({"file": "a.txt", "cell": "gru", "hidden_size": 9, "epochs": 3, "validation": 0.2})
    assert RunSettings.from_flat(settings.flat()) == settings
    assert (settings.model.cell, settings.model.hidden_size) == ("gru", 9)
    assert (settings.optimization.epochs, settings.data.validation) == (3, 0.2)


def test_a_config_from_before_these_options_still_loads_and_they_may_change_on_resume():
    older = RunSettings("a.txt").flat()
    for name in ("nonfinite", "diagnose_every", "tensorboard"):
        del older[name]
        assert name in MAY_CHANGE_ON_RESUME
    assert RunSettings.from_flat(older) == RunSettings("a.txt")
    assert RunSettings("a.txt").optimization.nonfinite == "raise"


def test_no_two_groups_share_an_option():
    names = [entry.name for kind in GROUPS.values() for entry, _ in options(kind)]
    assert len(names) == len(set(names))
    assert {*names, "file"} == set(RunSettings("x").flat())


def test_every_option_says_what_it_does():
    for kind in GROUPS.values():
        for entry, _ in options(kind):
            assert entry.metadata["help"].endswith((".", "limit.")), entry.name


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("validation", 0.0, "--validation is 0.0; it must be above 0 and below 1"),
        ("validation", 1.0, "--validation is 1.0"),
        ("dropout", 1.0, "--dropout is 1.0; it must be at least 0 and below 1"),
        ("hidden_size", 0, "--hidden-size is 0; it must be at least 1"),
        ("update_every", 0, "--update-every is 0"),
        ("diagnose_every", -1, "--diagnose-every is -1; it must be at least 0"),
        ("batch_size", -1, "--batch-size is -1; it must be at least 0"),
        ("learning_rate", 0.0, "--learning-rate is 0.0; it must be above 0"),
        ("learning_rate", math.nan, "--learning-rate is nan"),
        ("clip_norm", math.inf, "--clip-norm is inf"),
        ("epochs", 0, "--epochs is 0"),
        ("burn_in", -1, "--burn-in is -1"),
        ("seed", 2**63, f"--seed is {2**63}; it must be at least 0 and below {2**63}"),
        ("seed", 10**400, "--seed is 1000"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(name, value, said):
    with pytest.raises(ArgumentError, match=said):
        RunSettings.from_flat({"file": "x", name: value})


def test_a_nonlinearity_for_a_cell_that_has_none_is_refused():
    with pytest.raises(ArgumentError, match="--nonlinearity relu goes with --cell rnn only, and the cell is lstm"):
        RunSettings("x", model=ModelSettings(nonlinearity="relu"))
    relu = ModelSettings(cell="rnn", nonlinearity="relu")
    assert replace(RunSettings("x"), model=relu).model.nonlinearity == "relu"


def test_settings_need_no_torch():
    script = "import sys, throughtime.training.settings; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
