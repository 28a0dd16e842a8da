"""Distributions by what the columns hold."""

import numpy as np
import pytest
from runs.tasks.laws import followed, numbers, words

from throughtime.data.columns import Numbers
from throughtime.data.encoding import Encoding
from throughtime.errors import ArgumentError
from throughtime.runs.tasks.choosing import Kind, distributions_of, few, kinds_of

CHANCE = np.random.default_rng(3)
COLUMNS = {
    "key": numbers(CHANCE.integers(2, size=400)),
    "mode": words("".join(CHANCE.choice(list("abc"), size=400))),
    "calm": numbers(CHANCE.normal(size=400)),
    "count": Numbers(CHANCE.integers(5, size=400).astype(float), whole=True),
}


def test_kinds_go_by_what_a_column_holds():
    kinds = {"key": "bernoulli", "mode": "categorical", "calm": "auto", "count": "auto"}
    assert kinds_of(COLUMNS, list(COLUMNS), "auto") == kinds
    assert kinds_of(COLUMNS, ["key", "mode"], "normal") == {"key": "normal", "mode": "categorical"}
    assert kinds_of(COLUMNS, ["count", "mode"], "categorical") == dict.fromkeys(("count", "mode"), "categorical")
    refused: tuple[tuple[Kind, str], ...] = (
        ("bernoulli", "other numbers than 0 and 1"),
        ("categorical", "numbers with decimals"),
    )
    for asked, said in refused:
        with pytest.raises(ArgumentError, match=f"distribution is {asked}; the column calm holds {said}"):
            kinds_of(COLUMNS, ["calm"], asked)


@pytest.mark.parametrize(("freedom", "kind"), [(2.5, "student-t"), (1e6, "normal")])
def test_heavy_tails_decide_between_densities(freedom, kind):
    columns = {"x": numbers(CHANCE.standard_t(freedom, size=400))}
    chosen, said = distributions_of(columns, {"x": "auto"}, Encoding.fit(columns, ["x"]), followed(400))
    assert [entry.kind for entry in chosen] == [kind]
    assert said[0].startswith(f"Column x holds numbers, whose distribution is {kind}: ")


def test_many_names_are_told_by_the_first_and_the_last():
    assert few(list("abcdef")) == "a, b, c, d, e, f" and few(list("abcdefg")) == "a, b … g (7)"
