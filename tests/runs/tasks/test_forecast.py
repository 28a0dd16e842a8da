"""Forecasts, from the file to predictions, by the commands."""

import csv
import json
import re
from datetime import datetime, timedelta

import numpy as np
import pytest
import torch
from mutation.folders import run

from throughtime.data.packing import packed_whole
from throughtime.data.writing import rows_of
from throughtime.errors import InputFileError
from throughtime.records import named, read_record
from throughtime.runs.evaluation import predicted
from throughtime.runs.model import SequenceModel
from throughtime.runs.predictions import forecasts_of
from throughtime.runs.settings import ModelSettings, RunSettings
from throughtime.runs.tasks.forecast import Forecast
from throughtime.runs.tasks.forecast_distributions import KINDS
from throughtime.runs.tasks.forecast_settings import ForecastSettings
from throughtime.runs.tasks.inference import inferred_task
from throughtime.runs.tasks.reading import opened

SMALL = (
    *("--hidden-size", "8", "--num-layers", "1", "--learning-rate", "0.02", "--warm-up", "2"),
    *("--threads", "1", "--accelerator", "cpu"),
)
SHOPS, DAYS = 6, (60, 71, 64, 75, 68, 80)


def _table(path, rows):
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([["shop", "day", "sold", "offer", "guests"], *rows])


def _sales():
    """Rows of shops of different sizes: a week's rhythm, and more sales on days with an offer."""
    chance, rows = np.random.default_rng(0), []
    for shop in range(SHOPS):
        size = 10.0 ** (shop % 3 + 1)
        for number in range(DAYS[shop]):
            offer, day = int(chance.random() < 0.3), datetime(2024, 1, 1) + timedelta(days=number)
            sold = size * (3 + (day.weekday() >= 5) + 0.8 * offer + 0.1 * chance.normal())
            rows.append([f"S{shop}", f"{day:%Y-%m-%d}", round(sold), offer, chance.integers(5, 20)])
    return rows


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the sales of shops, and the offers of the week after them."""
    folder = tmp_path_factory.mktemp("forecasts")
    _table(folder / "sales.csv", _sales())
    return folder


def _trained(place, name, *options, file="sales.csv"):
    ended = run("train", place / file, *options, *SMALL, "--output", place / name)
    assert (ended.code, ended.err) == (0, ""), ended
    return place / name, ended.out


SALES = ("--id", "shop", "--time", "day", "--target", "sold")


@pytest.fixture(scope="module")
def trained(place):
    return _trained(place, "run", *SALES, "--epochs", "20")


def _rows(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_the_next_week_is_forecast_better_than_naively(trained, place):
    folder, told = trained
    assert "Task    forecast: sold is a number that changes with time" in told
    assert "A season has 7 steps" in told and "Forecasts are of 7 steps, a season" in told
    assert "since there are several" in told and "The time of the week is read" in told
    assert "Columns sold, offer, guests → the next 7 of sold" in told
    record = read_record(folder)
    assert (record.task, record.loss) == ("forecast", "scaled CRPS")
    assert set(record.levels) == {"naive", "seasonal naive", "drift", "mean"}
    assert record.results.best_validation_loss is not None
    assert record.results.best_validation_loss < 0.8 * min(record.levels.values())
    measured = run("evaluate", folder, place / "sales.csv").out
    for name in ("MAE", "RMSE", "MAPE", "sMAPE", "MASE", "RMSSE", "quantile loss", "coverage of 80%", "CRPS"):
        assert f" {name} " in measured


def test_a_prediction_tells_id_time_cut_off_and_step(trained, place):
    folder, _ = trained
    ended = run("predict", folder, place / "sales.csv", "-o", place / "out.csv")
    assert (ended.code, ended.err) == (0, ""), ended
    rows = _rows(place / "out.csv")
    assert list(rows[0]) == ["shop", "day", "cut-off", "step", "sold", "sold 0.1", "sold 0.5", "sold 0.9"]
    assert [row["shop"] for row in rows[::7]] == [f"S{shop}" for shop in range(SHOPS)]
    for shop, first in enumerate(rows[::7]):
        last = datetime(2024, 1, 1) + timedelta(days=DAYS[shop] - 1)
        assert (first["cut-off"], first["step"]) == (f"{last:%Y-%m-%d}", "1")
        assert first["day"] == f"{last + timedelta(days=1):%Y-%m-%d}"
        assert 2 < float(first["sold"]) / 10 ** (shop % 3 + 1) < 6, "in the unit of the target, whatever its size"
    assert all(float(row["sold 0.1"]) <= float(row["sold"]) <= float(row["sold 0.9"]) for row in rows)


def test_a_series_is_forecast_alone_as_among_others_and_in_any_order(trained, place):
    folder, _ = trained
    rows = _sales()
    np.random.default_rng(1).shuffle(rows)
    _table(place / "shuffled.csv", rows)
    _table(place / "alone.csv", [row for row in rows if row[0] == "S4"])
    for name in ("sales", "shuffled", "alone"):
        assert run("predict", folder, place / f"{name}.csv", "-o", place / f"{name}.out.csv").code == 0
    among, shuffled = _rows(place / "sales.out.csv"), _rows(place / "shuffled.out.csv")
    assert among == shuffled
    alone = _rows(place / "alone.out.csv")
    for ours, theirs in zip(alone, among[28:35], strict=True):
        assert ours["day"] == theirs["day"]
        assert float(ours["sold 0.9"]) == pytest.approx(float(theirs["sold 0.9"]), rel=1e-6)


def test_a_backtest_measures_every_cut_off_and_step(trained, place):
    folder, _ = trained
    out = place / "backtest.csv"
    ended = run("backtest", folder, place / "sales.csv", "--windows", "3", "--step", "5", "-o", out)
    assert (ended.code, ended.err) == (0, ""), ended
    assert "18 cut-offs in 6 series." in ended.out
    table = [line.split() for line in ended.out[ended.out.index("Step  ") :].splitlines()[1:8]]
    assert [int(cells[0]) for cells in table] == [1, 2, 3, 4, 5, 6, 7]
    rows, came = _rows(out), {(row[0], row[1]): row[2] for row in _sales()}
    assert len(rows) == 7 * 18
    cutoffs = [row["cut-off"] for row in rows if row["shop"] == "S1"][::7]
    assert cutoffs == ["2024-02-23", "2024-02-28", "2024-03-04"], "the last is seven days before the last day"
    errors = [abs(float(row["sold"]) - came[row["shop"], row["day"]]) for row in rows]
    assert f"MAE {np.mean(errors):.4g}" in ended.out
    assert float(table[2][2]) == pytest.approx(np.mean(errors[2::7]), rel=1e-3), "scaled CRPS, then MAE"


def test_cut_offs_before_the_beginning_are_counted_and_not_made(trained, place):
    ended = run("backtest", trained[0], place / "sales.csv", "--windows", "99999999999", "--step", "9999999999")
    assert ended.code == 0 and "6 cut-offs in 6 series." in ended.out, ended
    assert "599,999,999,988 cut-offs would lie before the beginning of a series." in ended.out


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--windows", "0"), 2, "--windows is 0; it must be a whole number, at least 1"),
        (("--step", "-1"), 2, "--step is -1"),
        (("-o", "out.xls"), 2, "must end in .csv, .jsonl or .parquet"),
    ],
)
def test_a_backtest_refuses_what_makes_no_sense(trained, place, options, code, said):
    ended = run("backtest", trained[0], place / "sales.csv", *options)
    assert ended.code == code and said in ended.err and ended.err.count("\n") == 1, ended


def _settings(file, **options):
    known = {"id": "shop", "time": "day", "target": "sold", **options}
    return RunSettings(str(file), task=ForecastSettings(**known))


def _untrained(file, **options):
    """A task for the sales, and a model with random weights."""
    task = Forecast.fit(_settings(file, **options))
    torch.manual_seed(0)
    model = SequenceModel(task, ModelSettings(hidden_size=8, num_layers=1)).eval()
    for value in model.readout.parameters():  # which would begin at what forecasts depart from
        torch.nn.init.normal_(value, std=0.3)
    return task, model


def _outputs(task, model, file):
    """What is read out at all cut-offs of the first series [cut-offs, ahead, numbers], in the unit of the target."""
    arrays = task.arrays(opened(str(file), task.given, trained=True)[0])
    chunk = arrays.chunk(packed_whole(np.arange(1), arrays.lengths[:1], 1), 0, int(arrays.lengths[0]), first=True)
    with torch.no_grad():
        outputs = model(chunk.inputs, resets=chunk.resets)[0]
    ahead, told = task.given.ahead, chunk.targets[:, 0, :, :1]
    return outputs[:, 0, :, 0] * told[:, [2 * ahead]] + told[:, ahead : 2 * ahead]


@pytest.mark.parametrize("distribution", KINDS)
@pytest.mark.parametrize(
    "options",
    [{}, {"scale": "global", "around": "nothing"}, {"around": "season"}, {"scale": "none"}, {"around": "nothing"}],
)
def test_no_forecast_depends_on_what_comes_later(place, options, distribution):
    task, model = _untrained(place / "sales.csv", distribution=distribution, **options)
    rows, cut = _sales(), 31
    before = _outputs(task, model, place / "sales.csv")
    changed = [[*row[:2], row[2] * 3 + 5, 1 - row[3], row[4] + 7] for row in rows[cut:]]
    _table(place / "changed.csv", rows[:cut] + changed)
    after = _outputs(task, model, place / "changed.csv")
    assert torch.equal(before[:cut], after[:cut])
    assert not torch.isclose(before[cut:], after[cut:]).flatten(1).all(dim=-1).any(), "each later forecast has changed"


def test_what_is_known_ahead_is_read_for_its_own_step(place):
    task, model = _untrained(place / "sales.csv", known="offer", calendar=False)
    rows, cut = _sales(), 31
    before = _outputs(task, model, place / "sales.csv")
    flipped = [[*row[:3], 1 - row[3] if at == cut else row[3], row[4]] for at, row in enumerate(rows)]
    _table(place / "offer.csv", flipped)
    after = _outputs(task, model, place / "offer.csv")
    for cutoff in range(cut - 7, cut):
        assert (before[cutoff] != after[cutoff]).any(dim=-1).nonzero().flatten().tolist() == [cut - cutoff - 1]
    assert torch.equal(before[: cut - 7], after[: cut - 7])


@pytest.fixture(scope="module")
def knowing(place):
    return _trained(place, "knowing", *SALES, "--known", "offer", "--epochs", "1")[0]


def _future(path, days=7, without=(), **changed):
    """The offers of the days after the sales of each shop, in no order."""
    rows = []
    for shop in range(SHOPS):
        for later in range(days):
            day = f"{datetime(2024, 1, 1) + timedelta(days=DAYS[shop] + later):%Y-%m-%d}"
            if (shop, later) not in without:
                rows.append([changed.get(f"offer{shop}", later % 2), day, f"S{shop}"])
    np.random.default_rng(3).shuffle(rows)
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([["offer", "day", "shop"], *rows])
    return path


def test_what_is_known_ahead_comes_from_a_file_or_from_rows_without_a_target(knowing, place):
    out = place / "future.out.csv"
    future = _future(place / "future.csv")
    ended = run("predict", knowing, place / "sales.csv", "--future", future, "-o", out)
    assert (ended.code, ended.err) == (0, ""), ended
    forecasts = _rows(out)
    assert len(forecasts) == 7 * SHOPS
    _table(place / "both.csv", [*_sales(), *([row["shop"], row["day"], "", row["offer"], ""] for row in _rows(future))])
    assert run("predict", knowing, place / "both.csv", "-o", out).code == 0
    assert _rows(out) == forecasts
    run("predict", knowing, place / "sales.csv", "--future", _future(place / "future.csv", offer2=1), "-o", out)
    changed = _rows(out)
    assert changed[:14] + changed[21:] == forecasts[:14] + forecasts[21:]
    assert [changed[at] == forecasts[at] for at in range(14, 21)] == [False, True] * 3 + [False]


def test_a_step_to_come_that_is_missing_is_named(knowing, place):
    future = _future(place / "few.csv", without=[(4, 2)])
    for options, said in (
        (
            ("--future", future),
            "The row of 'S4' at 2024-03-11 is missing, .* for offer, known ahead: give it in --future",
        ),
        ((), "The row of 'S0' at 2024-03-01 is missing"),
        (
            ("--future", _future(place / "gap.csv", offer3="")),
            "offer, known ahead, is missing in the row of 'S3' at 2024",
        ),
        (("--future", place / "absent.csv"), "absent.csv"),
    ):
        ended = run("predict", knowing, place / "sales.csv", *options, "-o", place / "no.csv")
        assert ended.code == 1 and ended.err.count("\n") == 1 and re.search(said, ended.err), ended


def test_a_gap_is_no_step_of_a_forecast(place):
    _table(place / "gaps.csv", [row for row in _sales() if row[1] not in ("2024-02-01", "2024-02-02")])
    task, _ = _untrained(place / "gaps.csv")
    given = ForecastSettings(id="shop", time="day", target="sold")
    series, _ = task.chosen(*opened(str(place / "gaps.csv"), given))
    assert any("12 steps are missing in 6 gaps" in note for note in series.notes)
    arrays = task.arrays(series)
    assert arrays.breaks is not None and arrays.breaks[0] == 31
    _, counts = arrays.values_ahead(np.array([23, 24, 30, 31]))
    assert counts[..., 0].sum(axis=1).tolist() == [7, 6, 0, 7]


def _growing(path, steps=72, start=1):
    """Monthly numbers whose season grows with their level."""
    level = 100 * 1.02 ** np.arange(steps) * (1 + 0.3 * np.sin(2 * np.pi * np.arange(steps) / 12))
    level *= np.exp(0.02 * np.random.default_rng(1).normal(size=steps))
    rows = [f"{2000 + at // 12}-{at % 12 + 1:02},{value * start:.4f}" for at, value in enumerate(level)]
    path.write_text("\n".join(["month,price", *rows, ""]))
    return path


def test_logarithms_are_read_where_changes_grow_and_leave_no_trace_in_what_comes_out(place):
    file = _growing(place / "growing.csv")
    task = Forecast.fit(RunSettings(str(file), task=ForecastSettings()))
    assert task.reading.targets[0].log and task.given.around in ("season", "moved")
    assert "Logarithms are read of price, as changes grow with the level." in task.told
    torch.manual_seed(0)
    model = SequenceModel(task, ModelSettings(hidden_size=8, num_layers=1)).eval()
    data = task.read(str(file))
    pairs = list(predicted(model, data.streams))
    assert float(task.loss(*pairs[0])) == pytest.approx(task.metrics(pairs)[0].value, rel=1e-4)
    asked = task.asked(str(file))
    rows = [row for outputs, chunk in predicted(model, asked.streams) for row in task.rows(outputs, chunk)]
    assert len(rows) == task.given.ahead and all(200 < row["price"] < 1000 for row in rows)
    plain = Forecast.fit(RunSettings(str(file), task=ForecastSettings(transform="none")))
    assert not plain.reading.targets[0].log
    # Naive forecasts do not depend on how the target is read, but for the mean.
    ours, theirs = (named(each.read(str(file)).baselines) for each in (task, plain))
    for name in ("naive", "seasonal naive", "drift"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-9)


def test_numbers_of_0_have_no_logarithm(place):
    task = Forecast.fit(RunSettings(str(_growing(place / "growing.csv")), task=ForecastSettings()))
    _growing(place / "zero.csv", start=0)
    with pytest.raises(
        InputFileError, match="the target price is 0 in the series None, .* train with `transform` none"
    ):
        task.read(str(place / "zero.csv"))
    with pytest.raises(InputFileError, match="price holds values of 0 or below, which have no logarithms"):
        Forecast.fit(RunSettings(str(place / "zero.csv"), task=ForecastSettings(transform="log")))


@pytest.mark.parametrize(("name", "task"), [("prices.csv", "forecast"), ("words.csv", "label")])
def test_numbers_with_times_are_forecast_and_words_are_labels(place, name, task):
    values = [1.5, 2.5, 4.0] if task == "forecast" else ["up", "down", "up"]
    rows = [f"2024-01-0{day},{value},{day * 2.5}" for day, value in enumerate(values, start=1)]
    (place / name).write_text("\n".join(["day,y,heat", *rows, ""]))
    assert inferred_task(str(place / name), {}).name == task


def test_a_file_of_the_forecasting_archive_is_forecast(place):
    text = "@relation a\n@attribute series_name string\n@attribute start_timestamp date\n@frequency monthly\n@data\n"
    series = ["T1:2001-01-01 00-00-00:1,2,3,4,5,6,8,7,9,11\n", "T2:2003-05-01 00-00-00:3,2,5,4,6,5,8,8,9\n"]
    (place / "archive.tsf").write_text(text + "".join(series))
    inferred = inferred_task(str(place / "archive.tsf"), {})
    assert inferred.name == "forecast"
    assert inferred.reason == "The file has value alone, with nothing else to predict."
    task = Forecast.fit(RunSettings(str(place / "archive.tsf"), task=ForecastSettings(ahead=2)))
    data = task.asked(str(place / "archive.tsf"))
    model = SequenceModel(task, ModelSettings(hidden_size=4, num_layers=1)).eval()
    pairs = predicted(model, data.streams)
    rows = rows_of(forecasts_of(task, pairs, data))
    assert [(row["id"], row["time"]) for row in rows[::2]] == [
        ("T1", "2001-11-01 00:00:00"),
        ("T2", "2004-02-01 00:00:00"),
    ]


def test_several_targets_are_forecast_together(place):
    task, model = _untrained(place / "sales.csv", target="sold,guests")
    data = task.asked(str(place / "sales.csv"))
    rows = rows_of(forecasts_of(task, predicted(model, data.streams), data))
    assert len(rows) == 7 * SHOPS
    assert list(rows[0])[4:] == ["sold", "sold 0.1", "sold 0.5", "sold 0.9", "guests", "guests 0.1", "guests 0.5",
                                 "guests 0.9"]  # fmt: skip
    assert not named(data.baselines) and "drift" in named(task.read(str(place / "sales.csv")).baselines)


def test_steps_without_times_are_counted(place):
    chance = np.random.default_rng(2)
    steps = np.arange(90)
    wave = np.sin(steps / 4) + 0.05 * chance.normal(size=90)
    (place / "wave.jsonl").write_text("".join(json.dumps({"level": round(float(x), 4)}) + "\n" for x in wave))
    folder, told = _trained(
        place, "wave", "--task", "forecast", "--target", "level", "--ahead", "5", "--epochs", "12", file="wave.jsonl"
    )
    assert "level → the next 5 of level" in told
    record = read_record(folder)
    assert set(record.levels) == {"naive", "drift", "mean", "linear"}
    assert record.results.best_validation_loss is not None
    assert record.results.best_validation_loss < min(record.levels.values())
    assert run("predict", folder, place / "wave.jsonl", "-o", place / "wave.out.jsonl").code == 0
    rows = [json.loads(line) for line in (place / "wave.out.jsonl").read_text().splitlines()]
    assert [(row["time"], row["cut-off"], row["step"]) for row in rows] == [(90 + h, 89, h + 1) for h in range(5)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((*SALES[:4], "--target", "sold", "--ahead", "99"), "longest series has 80 steps, so 99 steps cannot.*--ahead"),
        ((*SALES, "--levels", "0.1,2"), "--levels is 0.1,2; they must be numbers above 0 and below 1"),
        ((*SALES[:4], "--task", "forecast"), "3 columns of numbers, sold, offer and guests: name those.*--target"),
        ((*SALES[:4], "--task", "forecast", "--target", "day,sold"), "--time is 'day'|--target|day"),
        ((*SALES, "--known", "offr"), "--known is 'offr'.*did you mean 'offer'"),
        ((*SALES, "--horizon", "7"), "the steps to forecast are --ahead"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(place, options, said):
    ended = run("train", place / "sales.csv", *options, *SMALL, "--output", place / "refused")
    assert ended.code in (1, 2) and ended.err.count("\n") == 1 and not ended.traceback, ended
    assert re.search(said, ended.err), ended.err
    assert not (place / "refused").exists()
