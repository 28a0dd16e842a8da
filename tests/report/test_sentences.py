import math
import string
from enum import Enum

import pytest

from throughtime.report.sentences import Absent, FigureName, LookFor, Says, why_empty


@pytest.mark.parametrize("sentence", [*LookFor, *Absent, *Says], ids=str)
def test_every_template_is_made_of_whole_sentences(sentence: Enum):
    text = sentence.value
    ends_in_a_command = text.endswith("{way}")
    assert text.endswith(".") or ends_in_a_command
    assert text[0].isupper() or text.startswith("{") or text.startswith(("‖", "diagnosis.json", "updates.csv", "step_"))
    assert all(name is None or name.isidentifier() for _, name, _, _ in string.Formatter().parse(text))


def test_labels_are_different_and_short():
    labels = [name.value for name in FigureName if not name.value.startswith("…")]
    assert len(set(labels)) == len(labels) and max(map(len, labels)) <= 60


@pytest.mark.parametrize(
    ("values", "why"),
    [([], Absent.NO_VALUES), ([0.0, 0.0], Absent.ALL_ZERO), ([0.0, math.nan], Absent.NOT_FINITE)],
)
def test_an_empty_axis_is_explained(values, why):
    assert why_empty(values) == why.value
