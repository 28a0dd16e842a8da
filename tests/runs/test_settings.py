import math
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Literal

import pytest

from throughtime.errors import ArgumentError
from throughtime.runs.choice import groups, kinds, settings_from
from throughtime.runs.options import check_options, option
from throughtime.runs.settings import ModelSettings, OptimizationSettings, RunSettings, TaskSettings
from throughtime.runs.tasks.symbols import SymbolSettings


def test_flat_settings_come_back():
    settings = settings_from({"file": "a.txt", "cell": "gru", "hidden_size": 9, "epochs": 3, "validation": 0.2})
    assert settings_from(settings.flat()) == settings
    assert (settings.model.cell, settings.model.hidden_size) == ("gru", 9)
    assert (settings.optimization.epochs, settings.data.validation) == (3, 0.2)


def test_a_config_from_before_these_options_still_loads_and_they_may_change_on_resume():
    settings = settings_from({"file": "a.txt"})
    older = settings.flat()
    for name in ("nonfinite", "diagnose_every", "tensorboard"):
        del older[name]
        assert name not in settings.lasting()
    assert settings_from(older) == settings
    assert RunSettings("a.txt").optimization.nonfinite == "raise"


def test_no_two_groups_share_an_option():
    names = [entry.name for _, _, entries in groups() for entry, _, _ in entries]
    assert len(names) == len(set(names))
    flat = {name for kind in kinds() for name in settings_from({"file": "x", "online": kind.online}, kind).flat()}
    assert {*names, "file"} == flat


def test_every_option_says_what_it_does():
    for _, _, entries in groups():
        for entry, _, told in entries:
            assert told.help.endswith((".", "limit.")), entry.name


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("validation", 0.0, "validation is 0.0; it must be above 0 and below 1"),
        ("validation", 1.0, "validation is 1.0"),
        ("dropout", 1.0, "dropout is 1.0; it must be at least 0 and below 1"),
        ("hidden_size", 0, "hidden_size is 0; it must be at least 1"),
        ("update_every", 0, "update_every is 0"),
        ("diagnose_every", -1, "diagnose_every is -1; it must be at least 0"),
        ("batch_size", -1, "batch_size is -1; it must be at least 0"),
        ("learning_rate", 0.0, "learning_rate is 0.0; it must be above 0"),
        ("learning_rate", math.nan, "learning_rate is nan"),
        ("clip_norm", math.inf, "clip_norm is inf"),
        ("epochs", -1, "epochs is -1"),
        ("burn_in", -1, "burn_in is -1"),
        ("seed", 2**63, f"seed is {2**63}; it must be at least 0 and below {2**63}"),
        ("seed", 10**400, "seed is 1000"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(name, value, said):
    with pytest.raises(ArgumentError, match=said):
        settings_from({"file": "x", name: value})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: OptimizationSettings(epochs=True), "epochs is True; it must be a whole number"),
        (lambda: OptimizationSettings(patience=2.5), "patience is 2.5; it must be a whole number"),
        (lambda: OptimizationSettings(diagnose_every=True), "diagnose_every is True; it must be a whole number"),
        (lambda: OptimizationSettings(learning_rate=True), "learning_rate is True; it must be a number"),
        (lambda: OptimizationSettings(online=1), "online is 1; it must be True or False"),
        (lambda: OptimizationSettings(memory=9), "memory is 9; it must be text"),
        (lambda: OptimizationSettings(leak=math.nan), "leak is nan; it must be finite"),
    ],
)
def test_a_value_of_another_type_is_refused(make, said):
    with pytest.raises(ArgumentError, match=said):
        RunSettings("x", optimization=make())


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ({"model": ModelSettings(cell="ltsm")}, "cell is ltsm; it must be one of lstm, gru, rnn"),
        ({"model": ModelSettings(num_layers=2.0)}, "num_layers is 2.0; it must be a whole number"),
        ({"task": SymbolSettings(units="words")}, "units is words; it must be one of characters, bytes"),
        ({"task": SymbolSettings(embedding_size=-1)}, "embedding_size is -1; it must be at least 0"),
    ],
)
def test_every_group_is_checked(group, said):
    with pytest.raises(ArgumentError, match=said):
        RunSettings("x", **group)


def test_what_has_no_meaning_on_a_stream_is_refused():
    with pytest.raises(ArgumentError, match="warm_up is 3; a run with `online` has no use for it: leave it out"):
        RunSettings("x", optimization=OptimizationSettings(online=True, warm_up=3))
    with pytest.raises(ArgumentError, match="encoding is latin-1; a run with `online` has no use"):
        settings_from({"file": "x", "online": True, "encoding": "latin-1"})


def test_plain_task_settings_stand_for_the_defaults():
    assert type(RunSettings("x").task) is TaskSettings
    assert settings_from({"file": "x"}).task == SymbolSettings()


def test_a_nonlinearity_for_a_cell_that_has_none_is_refused():
    with pytest.raises(ArgumentError, match="nonlinearity is relu; it goes with `cell` rnn only, and `cell` is lstm"):
        RunSettings("x", model=ModelSettings(nonlinearity="relu"))
    relu = ModelSettings(cell="rnn", nonlinearity="relu")
    assert replace(RunSettings("x"), model=relu).model.nonlinearity == "relu"


def test_settings_need_no_torch():
    script = "import sys, throughtime.runs.choice; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@dataclass(frozen=True)
class _Seasons(TaskSettings):
    length: int | None = option(None, "Steps of a season.", least=2)
    rate: float | None = option(0.5, "A rate.", below=1)
    form: Literal["sum", "product"] | None = option(None, "How seasons enter.")


def test_an_option_may_be_left_open():
    check_options(_Seasons())
    check_options(_Seasons(7, None, "sum"))
    for given, said in (
        ({"length": 1}, "length is 1; it must be at least 2"),
        ({"length": 2.5}, "length is 2.5; it must be a whole number"),
        ({"rate": 1.0}, "rate is 1.0; it must be below 1"),
        ({"form": "max"}, "form is max; it must be one of sum, product"),
    ):
        with pytest.raises(ArgumentError, match=said):
            check_options(_Seasons(**given))
    with pytest.raises(ArgumentError, match="hidden_size is None; it must be a whole number"):
        check_options(ModelSettings(hidden_size=None))


@pytest.mark.parametrize("kind", [list[str], int | str, bool | None, None])
def test_an_option_of_another_type_is_refused_where_its_class_is_made(kind):
    with pytest.raises(ArgumentError, match=r"Odd\.size is of the type .*; an option is a bool, int, float, str"):
        type("Odd", (TaskSettings,), {"__annotations__": {"size": kind}, "size": option(None, "A size.")})
