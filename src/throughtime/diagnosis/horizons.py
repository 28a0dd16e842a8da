"""Horizons: lags from which on a gradient stays below a level. Each has a confidence interval."""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.diagnosis.evidence import GONE
from throughtime.diagnosis.lag_curves import Profiles, quantiles_by_lag
from throughtime.records import Horizon

LEVELS = (1 / math.e, GONE)
"""The levels whose horizons are measured; the verdict reads the second."""
DRAWS = 200
"""The number of bootstrap samples for the interval."""


def horizons_of(profiles: Profiles, generator: torch.Generator) -> list[Horizon]:
    """Return the horizons at 1/e and at 1 %, each with a 90 % interval.

    The interval is the central 90 % over rows drawn with replacement (bootstrap); where all samples are of a single
    row, samples are drawn instead.

    Cost: sorting the ratios 200 times.
    """
    curves = torch.cat([quantiles_by_lag(ratios, (0.5,)) for ratios in (profiles.ratios, *_drawn(profiles, generator))])
    observed = profiles.ratios.shape[1] - 1
    horizons = []
    for level in LEVELS:
        lag, *drawn = stays_below(curves, level).tolist()
        drawn.sort()
        tail = len(drawn) // 20  # 5 % at either end
        horizons.append(Horizon(level, lag, drawn[tail], drawn[-1 - tail], observed))
    return horizons


def stays_below(curves: Float[Tensor, "curves lags"], level: float) -> Float[Tensor, " curves"]:
    """Return the lag from which on each curve is below the level, interpolated in logarithms.

    It is inf where the end of the curve is not below the level. Values that are nan are passed over.
    """
    log = (curves / level).clamp(min=torch.finfo(curves.dtype).tiny).log()
    not_below = log >= 0
    lags = torch.arange(curves.shape[1]).expand_as(curves)
    last = torch.where(not_below, lags, -1).amax(1)  # the last lag that is not below the level; -1 without any
    end = torch.where(log.isnan(), -1, lags).amax(1)  # the last lag that is known
    after = (last + 1).minimum(end)
    above, below = (log.gather(1, at.clamp(min=0)[:, None])[:, 0] for at in (last, after))
    crossing = last + above / (above - below)
    return torch.where(last >= end, torch.inf, crossing.clamp(min=0))


def _drawn(profiles: Profiles, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the ratios of rows drawn with replacement, `DRAWS` times. A row comes with all its samples."""
    rows = profiles.rows.unique()
    if len(rows) == 1:
        members = list(torch.arange(len(profiles.rows))[:, None])
    else:
        members = [(profiles.rows == row).nonzero()[:, 0] for row in rows]
    for _ in range(DRAWS):
        drawn = torch.randint(len(members), (len(members),), generator=generator).tolist()
        yield profiles.ratios[torch.cat([members[i] for i in drawn])]
