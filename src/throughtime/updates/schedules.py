"""Learning-rate schedules."""

import math
from typing import Literal

_LAST_SHARE = 0.01
"""Factor that the cosine schedule ends at."""


def learning_rate_factor(
    update: int, total: int, schedule: Literal["cosine", "constant", "plateau"], warm_up: int, reductions: int
) -> float:
    """Return the factor of the learning rate at an update.

    Args:
        update: the number of the update, from 0.
        total: updates of the whole run.
        schedule: "cosine" falls from 1 to 0.01 over the run, "plateau" is halved at each reduction, "constant" stays.
        warm_up: in this many updates the factor also rises linearly to 1.
        reductions: validations without improvement so far.
    """
    rise = min(1.0, (update + 1) / (warm_up + 1))
    match schedule:
        case "constant":
            return rise
        case "plateau":
            return rise * 0.5**reductions
        case "cosine":
            fall = 0.5 * (1 + math.cos(math.pi * min(1.0, update / total)))
            return rise * (_LAST_SHARE + (1 - _LAST_SHARE) * fall)
