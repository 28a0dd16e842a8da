"""Examinations made by hand."""

import math

from throughtime.records import (
    Band,
    CaseRow,
    Cases,
    ChanceBin,
    Confusion,
    ErrorsBy,
    Examination,
    Fan,
    Metric,
    Scatter,
)

NAN = math.nan


def chances() -> list[ChanceBin]:
    """Bins of a model that is too sure of itself; the lower four are empty."""
    known = {4: (7, 0.45, 0.5), 6: (12, 0.66, 0.5), 7: (9, 0.74, 5 / 9), 9: (61, 0.97, 0.9)}
    return [ChanceBin(i / 10, (i + 1) / 10, *known.get(i, (0, NAN, NAN))) for i in range(10)]


def confusion(count=3) -> Confusion:
    """Most counts on the diagonal; the second class never came."""
    counts = [[0 if i == 1 else 20 + i if i == j else (i + 2 * j) % 4 for j in range(count)] for i in range(count)]
    names = ["fine", "<worn> & torn", "broken for good"]
    return Confusion([names[i] if i < 3 else f"class {i}" for i in range(count)], counts)


def fan(series="shop 7", steps=6) -> Fan:
    """Ten known values, one of them missing, and a forecast with two bands."""
    middle = [2.0 + 0.5 * step for step in range(steps)]
    bands = [
        Band(share, [value - share * (k + 1) for k, value in enumerate(middle)], [value + share for value in middle])
        for share in (0.5, 0.8)
    ]
    past = [NAN if step == 3 else 0.2 * step for step in range(10)]
    return Fan(series, "2024-03-01", past, [*[value + 0.3 for value in middle[:-1]], NAN], middle, bands)


def examination() -> Examination:
    """Every part, although no task has all of them."""
    true = [0.5 * i for i in range(40)]
    cases = [CaseRow([f"M{i}", "fine", "broken for good"], [float(i), 2.5 - 0.1 * i]) for i in range(4)]
    return Examination(
        metrics=[
            Metric("cross-entropy", 0.375, "nats"),
            Metric("accuracy", 0.8125, baselines={"majority": 0.25, "nearest": 0.75}),
            Metric("R²", NAN),
        ],
        confusion=confusion(),
        calibration=chances(),
        scatter=Scatter(true, [0.9 * value + math.sin(7 * value) for value in true], 400),
        errors=[
            ErrorsBy("series, worst first", "mean absolute error", ["M1", "M3", "M2"], [2.5, 1.0, 0.5], [3, 3, 1], 90),
            ErrorsBy("step ahead", "mean absolute error", ["1", "2", "3"], [0.5, 0.75, 1.5], [9, 9, 8], 3),
        ],
        worst=Cases(["series", "true", "predicted"], ["step", "loss"], cases),
        fans=[fan(), fan("shop 8", 14)],
        update=800,
    )
