"""Columns of several series, and checks that every distribution of a next step passes."""

import numpy as np
import torch

from throughtime.data.columns import Numbers, column_of


def numbers(values):
    return Numbers(np.array(values, dtype=np.float64))


def words(text):
    """A column of a word per sign; a dot is a missing one."""
    return column_of([None if sign == "." else sign for sign in text])


def followed(*lengths):
    """Where the next step is of the same series."""
    return np.concatenate([np.arange(length) < length - 1 for length in lengths])


def assert_begins_at(distribution, law, before):
    """Assert that the outputs at which training begins give a law."""
    outputs = torch.tensor(distribution.start(), dtype=torch.float64).expand(len(before), -1)
    targets = torch.rand(before.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).round()
    ours = distribution.law(outputs, before).log_prob(targets)
    torch.testing.assert_close(ours, law.log_prob(targets).expand_as(ours), rtol=1e-4, atol=1e-5)
