import numpy as np
import pytest

from throughtime.data.forecast_scores import ForecastScores


def test_scores_are_those_of_their_definitions_however_the_forecasts_come():
    values, median = np.array([10.0, 20.0, -5.0, 8.0]), np.array([12.0, 19.0, -5.0, 4.0])
    quantiles = np.stack([median - 1.5, median, median + 1.5], axis=1)
    crps, unit = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 1.0, 4.0, 8.0])
    scores = ForecastScores((0.1, 0.5, 0.9))
    scores.add(values[:1], median[:1], quantiles[:1], crps[:1], unit[:1])
    scores.add(values[1:], median[1:], quantiles[1:], crps[1:], unit[1:])
    made = scores.named()
    errors = np.array([2.0, 1.0, 0.0, 4.0])
    away = values[:, None] - quantiles
    pinball = np.where(away > 0, np.array([0.1, 0.5, 0.9]) * away, (np.array([0.1, 0.5, 0.9]) - 1) * away)
    assert made == pytest.approx(
        {
            "MAE": errors.mean(),
            "RMSE": np.sqrt(21 / 4),
            "MAPE": (0.2 + 0.05 + 0 + 0.5) / 4,
            "sMAPE": (4 / 22 + 2 / 39 + 0 + 8 / 12) / 4,
            "MASE": (1 + 1 + 0 + 0.5) / 4,
            "RMSSE": np.sqrt((1 + 1 + 0 + 0.25) / 4),
            "quantile loss": pinball.mean(),
            "coverage of 80%": 0.5,
            "CRPS": 2.5,
        }
    )
    assert scores.loss == pytest.approx(np.mean(crps / unit))


def test_shares_of_zeros_are_left_out():
    scores = ForecastScores((0.5,))
    scores.add(np.zeros(2), np.array([0.0, 1.0]), np.array([[0.0], [1.0]]), np.ones(2), np.ones(2))
    made = scores.named()
    assert "MAPE" not in made and made["sMAPE"] == 1.0 and not any(name.startswith("coverage") for name in made)
