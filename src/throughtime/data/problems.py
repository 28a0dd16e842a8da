"""Synthetic problems that show how many steps back a trained model remembers.

Each function draws a problem from sizes and a seed, and adds the best loss without a memory. Tensors are time-major.
"""

import math
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from throughtime.checks import check_size

COPY_ALPHABET, COPY_SYMBOLS = 8, 10
"""Copy memory: the number of different symbols, and the number of symbols to remember."""

BLANK, DELIMITER = COPY_ALPHABET, COPY_ALPHABET + 1
"""Symbols of copy memory beside the eight to copy. A model has 10 inputs and 10 outputs."""

_LAGS = (3, 8)
"""Steps after which a coin of the two-dependency stream acts on a target."""

_CHANCE, _EFFECTS = 0.5, (0.5, -0.25)
"""Probability that a target is 1 if both coins are 0, and what a coin of each lag adds to it if it is 1."""


@dataclass(frozen=True)
class Problem:
    """Inputs and targets of a synthetic problem.

    Attributes:
        x: inputs, [time, batch, features], or whole numbers [time, batch] that stand for one-hot vectors.
        y: targets, [time, batch], or [batch] for a single target of the whole sequence.
        baseline: mean loss of the best model without a memory: cross-entropy in nats per step, or squared error.
    """

    x: Tensor
    y: Tensor
    baseline: float


class TwoDependencyEntropies(NamedTuple):
    """Least cross-entropies on the two-dependency stream in nats per step, by what a model remembers.

    Attributes:
        nothing: without a memory.
        lag_3: if the coin three steps ago is known.
        both: if the coins three and eight steps ago are known.
    """

    nothing: float
    lag_3: float
    both: float


def two_dependency_stream(steps: int, batch: int, seed: int | torch.Generator) -> Problem:
    """Draw streams of fair coins that act on the targets three and eight steps later.

    p(Y_t = 1) = ½ + ½ X_{t-3} - ¼ X_{t-8}, where X_t is 0 or 1 with the same probability. Coins before the first step
    are drawn too, so that all targets have the same distribution, but they are not in x. A prediction from the latest
    n steps alone needs n = 4 for the first dependency and n = 9 for the second. Where the state is carried on, a
    gradient that reaches back fewer steps may suffice, see docs/methods.md.

    Args:
        steps: T.
        batch: B.
        seed: a seed, or a generator on the CPU.

    Returns:
        x [T, B, 1] and y [T, B], float32, zeros and ones. The baseline is the cross-entropy of the mean of y; see
        `two_dependency_entropies` for what remembering gains.
    """
    check_size("steps", steps, least=1)
    check_size("batch", batch, least=1)
    generator = _generator(seed)
    longest = max(_LAGS)
    coins = torch.randint(2, (longest + steps, batch), generator=generator).float()
    lagged = [coins[longest - lag : longest - lag + steps] for lag in _LAGS]
    chances = _CHANCE + sum(effect * coin for effect, coin in zip(_EFFECTS, lagged, strict=True))
    y = (torch.rand(steps, batch, generator=generator) < chances).float()
    return Problem(coins[longest:].unsqueeze(-1), y, two_dependency_entropies().nothing)


def two_dependency_entropies() -> TwoDependencyEntropies:
    """Return the least losses on the two-dependency stream, for growing memory.

    They are H(Y), H(Y | X_{t-3}) and H(Y | X_{t-3}, X_{t-8}).

    Examples:
        >>> [round(value, 6) for value in two_dependency_entropies()]
        [0.661563, 0.519167, 0.454454]
    """
    chances = {coins: _CHANCE + _EFFECTS[0] * coins[0] + _EFFECTS[1] * coins[1] for coins in product((0, 1), repeat=2)}
    by_first = [(chances[first, 0] + chances[first, 1]) / 2 for first in (0, 1)]
    return TwoDependencyEntropies(
        nothing=_binary_entropy(sum(by_first) / 2),
        lag_3=sum(map(_binary_entropy, by_first)) / 2,
        both=sum(map(_binary_entropy, chances.values())) / 4,
    )


def copy_memory(blanks: int, batch: int, seed: int | torch.Generator) -> Problem:
    """Draw sequences to repeat after a wait (Hochreiter and Schmidhuber 1997; Arjovsky et al. 2016).

    The inputs are ten symbols of eight kinds, T - 1 blanks, the delimiter and ten blanks; the targets are T + 10 blanks
    and then the ten symbols.

    Args:
        blanks: T, at least 1.
        batch: B.
        seed: a seed, or a generator on the CPU.

    Returns:
        x and y [T + 20, B], whole numbers from 0 to 9. The baseline, 10 ln 8 / (T + 20) in nats per step, is the
        loss of a model that knows when to answer but not what.
    """
    check_size("blanks", blanks, least=1)
    check_size("batch", batch, least=1)
    symbols = torch.randint(COPY_ALPHABET, (COPY_SYMBOLS, batch), generator=_generator(seed))
    steps = blanks + 2 * COPY_SYMBOLS
    x, y = torch.full((steps, batch), BLANK), torch.full((steps, batch), BLANK)
    x[:COPY_SYMBOLS] = symbols
    x[-COPY_SYMBOLS - 1] = DELIMITER
    y[-COPY_SYMBOLS:] = symbols
    return Problem(x, y, COPY_SYMBOLS * math.log(COPY_ALPHABET) / steps)


def adding(steps: int, batch: int, seed: int | torch.Generator) -> Problem:
    """Draw sequences in which two marked numbers are to be added.

    Hochreiter and Schmidhuber 1997.

    Args:
        steps: T, at least 2: one mark is in the first half, the other in the second.
        batch: B.
        seed: a seed, or a generator on the CPU.

    Returns:
        x [T, B, 2], float32: a number from 0 to 1, and 1 where it is marked; y [B], the sum. The baseline is the
        variance of a sum of two such numbers, 1/6: the mean squared error of always answering 1.
    """
    check_size("steps", steps, least=2)
    check_size("batch", batch, least=1)
    generator = _generator(seed)
    numbers, marks = torch.rand(steps, batch, generator=generator), torch.zeros(steps, batch)
    half, rows = steps // 2, torch.arange(batch)
    marks[torch.randint(half, (batch,), generator=generator), rows] = 1
    marks[torch.randint(half, steps, (batch,), generator=generator), rows] = 1
    variance = 1 / 12  # of one number between 0 and 1
    return Problem(torch.stack((numbers, marks), dim=-1), (numbers * marks).sum(dim=0), 2 * variance)


def _binary_entropy(chance: float) -> float:
    """Return the entropy, in nats, of a number that is 1 with probability `chance` and else 0."""
    return -sum(p * math.log(p) for p in (chance, 1 - chance) if p > 0)


def _generator(seed: int | torch.Generator) -> torch.Generator:
    return seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
