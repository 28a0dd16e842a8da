import errno
import io
import math
from pathlib import Path

import pytest

from throughtime import wording
from throughtime.wording import listed, percent, plural, plural_noun, reason_of, singular_noun


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 steps"), (1, "1 step"), (2, "2 steps"), (12345, "12,345 steps"), (-1, "-1 steps")]
)
def test_a_count_has_its_noun_in_the_plural_unless_it_is_one(count, words):
    assert plural(count, "step") == words


def test_a_noun_without_a_plural_form_stays():
    assert (plural_noun("byte"), singular_noun("bytes"), plural_noun("series")) == ("bytes", "byte", "series")
    assert (singular_noun("series"), plural(2, "series"), plural(1, "series")) == ("series", "2 series", "1 series")


@pytest.mark.parametrize(
    ("share", "digits", "words"),
    [
        (0.0149, 2, "1.5 %"),
        (0.994, 2, "99 %"),
        (0.9951, 2, "100 %"),
        (12.34, 2, "1234 %"),
        (0.98765, 3, "98.8 %"),
        (0.9987, 3, "99.9 %"),
        (9.9951, 3, "1000 %"),
        (0, 3, "0 %"),
        (0.00001234, 2, "0.0012 %"),
        (math.nan, 2, "nan %"),
    ],
)
def test_a_share_has_so_many_digits_and_no_exponent(share, digits, words):
    assert percent(share, digits) == words


@pytest.mark.parametrize(
    ("words", "phrase"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c"), ((1, 2), "1 and 2")],
)
def test_words_are_listed_with_commas_and_a_conjunction(words, phrase):
    assert listed(words) == phrase


def test_the_conjunction_can_be_another():
    assert listed(iter("abc"), "or") == "a, b or c"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "runs/a"), "No space left on device"),
        (io.UnsupportedOperation("not seekable."), "not seekable"),
        (OSError(), "OSError"),
        (RuntimeError("size mismatch:\n  in weight"), "size mismatch"),
        (RuntimeError(" \n"), "RuntimeError"),
        (AssertionError(), "AssertionError"),
    ],
)
def test_a_reason_is_a_line_and_never_none_or_empty(error, reason):
    assert reason_of(error) == reason


def test_no_other_message_is_made_of_strerror_which_may_be_none():
    root = Path(wording.__file__).parent
    assert [path.name for path in root.rglob("*.py") if ".strerror" in path.read_text()] == ["wording.py"]
