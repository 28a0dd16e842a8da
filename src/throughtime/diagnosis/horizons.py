"""How far back a gradient reaches: the lag from which on it stays below a level, and how sure that is."""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.diagnosis.lag_curves import Profiles, quantiles_by_lag
from throughtime.records import Horizon

LEVELS = (1 / math.e, 0.01)
DRAWS = 200
"""How many times the rows are drawn anew for the interval."""


def horizons_of(profiles: Profiles, generator: torch.Generator) -> list[Horizon]:
    """At 1/e and at 1 % of the gradient at lag 0, with the central 90 % over rows drawn with replacement.

    With samples of one row alone these are drawn instead. Cost: sorting the ratios 200 times.
    """
    curves = torch.cat([quantiles_by_lag(ratios, (0.5,)) for ratios in (profiles.ratios, *_drawn(profiles, generator))])
    observed = profiles.ratios.shape[1] - 1
    horizons = []
    for level in LEVELS:
        lag, *drawn = stays_below(curves, level).tolist()
        drawn.sort()
        low, high = drawn[len(drawn) // 20], drawn[-len(drawn) // 20 - 1]
        horizons.append(Horizon(level, lag, low, high, observed))
    return horizons


def stays_below(curves: Float[Tensor, "curves lags"], level: float) -> Float[Tensor, " curves"]:
    """The lag from which on each curve, interpolated in logarithms, is below the level; inf where its end is not.

    What a curve has as nan takes no part.
    """
    log = (curves / level).clamp(min=torch.finfo(curves.dtype).tiny).log()
    not_below = log >= 0
    lags = torch.arange(curves.shape[1]).expand_as(curves)
    last = torch.where(not_below, lags, -1).amax(1)
    end = torch.where(log.isnan(), -1, lags).amax(1)
    after = (last + 1).minimum(end)
    above, below = (log.gather(1, at.clamp(min=0)[:, None])[:, 0] for at in (last, after))
    crossing = last + above / (above - below)
    return torch.where(last >= end, torch.inf, crossing.clamp(min=0))


def _drawn(profiles: Profiles, generator: torch.Generator) -> Iterator[Tensor]:
    """The ratios of rows drawn with replacement, with all samples of each, again and again."""
    rows = profiles.rows.unique()
    if len(rows) == 1:
        members = list(torch.arange(len(profiles.rows))[:, None])
    else:
        members = [(profiles.rows == row).nonzero()[:, 0] for row in rows]
    for _ in range(DRAWS):
        drawn = torch.randint(len(members), (len(members),), generator=generator).tolist()
        yield profiles.ratios[torch.cat([members[i] for i in drawn])]
