import pytest

from throughtime.errors import ArgumentError
from throughtime.gradients import BPTT
from throughtime.runs.choice import settings_from
from throughtime.runs.gradient import METHODS, gradient_method, steps_run_again
from throughtime.runs.options import options
from throughtime.runs.settings import OptimizationSettings, RunSettings


def _settings(**options):
    return RunSettings("x", optimization=OptimizationSettings(**options))


def test_the_default_is_bptt_with_its_options():
    assert gradient_method(OptimizationSettings()) == BPTT()
    assert gradient_method(OptimizationSettings(save="states", clip_step=0.5)) == BPTT(clip_step=0.5, save="states")


def test_every_method_of_the_table_is_named_in_the_help():
    (text,) = (told.help for entry, _, told in options(OptimizationSettings) if entry.name == "gradient")
    assert ", ".join(METHODS) in text


def test_the_steps_before_a_chunk_that_its_first_loss_reaches_are_run_again():
    assert [steps_run_again(OptimizationSettings(horizon=horizon)) for horizon in (0, 1, 2, 9)] == [0, 0, 1, 8]


@pytest.mark.parametrize(
    "options",
    [
        {"gradient": "truncated", "horizon": 1},
        {"gradient": "truncated", "horizon": 500, "update_every": 3},
        {"gradient": "checkpointed", "segments": 3, "clip_step": 2.0},
        {"gradient": "checkpointed", "memory": "256MB"},
    ],
)
def test_options_that_a_method_reads_are_taken(options):
    settings = _settings(**options)
    assert settings_from(settings.flat()).optimization == settings.optimization


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gradient": "rtrrl"}, "gradient is rtrrl; it must be one of bptt, truncated, checkpointed"),
        ({"horizon": 5}, "horizon is 5; `gradient` bptt has no use for it: .* choose `gradient` truncated"),
        ({"memory": "1GB"}, "memory is 1GB; `gradient` bptt has no use for it"),
        ({"gradient": "truncated"}, "gradient is truncated; it needs `horizon`, which is missing"),
        (
            {"gradient": "truncated", "horizon": 5, "clip_step": 1.0},
            "clip_step is 1.0; `gradient` truncated has no use for it: .* `gradient` bptt or checkpointed",
        ),
        ({"gradient": "truncated", "horizon": 5, "save": "states"}, "save is states; `gradient` truncated"),
        ({"gradient": "checkpointed"}, "gradient is checkpointed; it needs `segments` or `memory`, which is missing"),
        (
            {"gradient": "checkpointed", "segments": 2, "memory": "1MB"},
            "gradient is checkpointed; it needs `segments` or `memory`, not both",
        ),
        ({"gradient": "truncated", "horizon": -1}, "horizon is -1; it must be at least 0"),
    ],
)
def test_options_that_do_not_fit_together_are_refused_by_name(options, said):
    with pytest.raises(ArgumentError, match=said):
        _settings(**options)
