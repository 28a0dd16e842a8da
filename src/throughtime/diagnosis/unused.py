"""Score test for omitted lags: whether inputs further back would lower a loss."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from throughtime.data.streams import Chunk
from throughtime.diagnosis.targets import FEWEST_GROUPS, Loss, Targets, grouped, part, standard_error
from throughtime.records import LagGain

FOLDS = 4
"""Parts of the groups, each of which is measured with a term that was fitted to the others."""
FEATURES = 16
"""The most numbers of an input that are read; of more, so many random mixtures."""
SQUARED = 5
"""The most numbers of an input whose products are read too: a marker may say which of the others counts."""
RIDGE = 0.1
"""Weight of the ridge, as a share of the number of targets."""
SIZES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Root mean squares of the term that is added to the outputs."""


def unused_gains(
    loss: Loss, outputs: Tensor, features: Float[Tensor, "time batch features"], targets: Targets
) -> list[LagGain]:
    """Return what the inputs of each band of lags would add to predictions.

    The bands are 1, 2 to 3, 4 to 7, and so on.

    Let g be the gradient of the loss by the outputs. Where a model makes the best of an input u_{t-k}, the two are
    uncorrelated. So a linear term W u_{t-k}, W by ridge regression of -g on it, is added to the outputs, with the lag
    of the band at which it explains most, or the mean over the band. W and the lag are fitted to half of the series,
    the size of the term is chosen by a quarter, and the loss is compared on the last quarter; each quarter serves once.
    The gain is therefore a lower bound of what a model could gain that makes full use of these lags.

    Args:
        loss: of outputs and targets.
        outputs: the model's, at the targets [targets, 1, …].
        features: the numbers that enter the recurrent layers.
        targets: the targets.

    Returns:
        Nothing where there are too few series to tell.
    """
    groups = list(targets.groups())
    lags = targets.longest - 1
    if len(groups) < FEWEST_GROUPS or not lags:
        return []
    base = grouped(loss, targets, outputs)
    slope = _slope(loss, outputs, targets).flatten(1)
    lagged = _lagged(_mixed(features), targets, lags)
    gains = []
    for low, after in pairwise(_bounds(lags)):
        terms = torch.cat((lagged[low - 1 : after - 1], lagged[low - 1 : after - 1].mean(0, keepdim=True)))
        fitted, chosen = _out_of_sample(loss, outputs, targets, slope, terms)
        difference = base - grouped(loss, targets, fitted)
        best = max(set(chosen), key=chosen.count)
        gain = float((difference * torch.tensor([float(len(members)) for members in groups])).sum() / len(targets))
        gains.append(LagGain(low, after - 1, min(low + best, after - 1), gain, standard_error(difference)))
    return gains


def _bounds(lags: int) -> list[int]:
    """Return the first lag of each band, and after the last band the lag behind it."""
    return [*(2**power for power in range(lags.bit_length())), lags + 1]


def _slope(loss: Loss, outputs: Tensor, targets: Targets) -> Tensor:
    """Return the gradient of the sum of the losses by the outputs."""
    with torch.enable_grad():
        leaf = outputs.detach().requires_grad_()
        return torch.autograd.grad(loss(leaf, targets.gathered) * len(targets), leaf)[0]


def _mixed(features: Float[Tensor, "time batch features"]) -> Float[Tensor, "time batch mixed"]:
    """Return the features, their products where they are few, or random mixtures where they are many."""
    count = features.shape[-1]
    if count > FEATURES:
        mixture = torch.randn(count, FEATURES, generator=torch.Generator().manual_seed(0))
        return features @ (mixture / count**0.5)
    if count > SQUARED:
        return features
    first, second = torch.triu_indices(count, count)
    return torch.cat((features, features[..., first] * features[..., second]), dim=-1)


def _lagged(features: Tensor, targets: Targets, lags: int) -> Float[Tensor, "lags targets mixed"]:
    """Return the features at lags 1, 2, … of each target, of mean 0 and variance 1; 0 before its series begins."""
    lag = torch.arange(1, lags + 1)[:, None]
    valid = (lag <= targets.past)[..., None]
    values = features[(targets.steps - lag).clamp(min=0), targets.rows.expand(lags, -1)]
    known = values[valid[..., 0]]
    spread = known.std(0)
    return torch.where(valid, (values - known.mean(0)) / torch.where(spread > 0, spread, 1.0), 0.0)


def _out_of_sample(
    loss: Loss, outputs: Tensor, targets: Targets, slope: Tensor, terms: Float[Tensor, "terms targets mixed"]
) -> tuple[Tensor, list[int]]:
    """Return outputs with a term that other series chose, and the number of the chosen term of each fold."""
    fitted, chosen = outputs.clone(), []
    folds = [(targets.group % FOLDS == fold).nonzero()[:, 0] for fold in range(FOLDS)]
    for fold, measured in enumerate(folds):
        deciding = folds[fold - 1]
        others = torch.cat([folds[(fold + further) % FOLDS] for further in range(1, FOLDS - 1)])
        known = terms[:, others]
        ridge = RIDGE * len(others) * torch.eye(terms.shape[-1])
        moment = known.transpose(1, 2) @ slope[others]
        weights = -torch.linalg.solve(known.transpose(1, 2) @ known + ridge, moment)
        best = int((-weights * moment).sum((1, 2)).argmax())
        term = (terms[best] @ weights[best]).reshape(outputs.shape)
        term = term / term[others].square().mean().sqrt().clamp(min=1e-30)
        size = _best_size(loss, outputs[deciding], term[deciding], part(targets.gathered, deciding))
        fitted[measured] += size * term[measured]
        chosen.append(best)
    return fitted, chosen


def _best_size(loss: Loss, outputs: Tensor, term: Tensor, chunk: Chunk) -> float:
    """Return the size of a term with the least loss."""
    return min(SIZES, key=lambda size: float(loss(outputs + size * term, chunk)))
