import pytest

from throughtime.errors import ArgumentError
from throughtime.gradients.memory import bytes_of, in_words


@pytest.mark.parametrize(
    ("amount", "count"),
    [(7, 7), ("512B", 512), ("1KB", 1000), ("256MB", 256_000_000), ("1.5 GB", 1_500_000_000), ("2TB", 2 * 10**12)],
)
def test_amounts_are_read_as_they_are_written(amount, count):
    assert bytes_of("limit", amount) == count


@pytest.mark.parametrize("amount", [0, -1, True, 2.5, "", "256", "MB", "-1MB", "1mb", "0GB", None, "1GiB"])
def test_what_is_no_amount_is_refused(amount):
    with pytest.raises(ArgumentError, match="limit is .*it must be a number of bytes above 0, or such as '256MB'"):
        bytes_of("limit", amount)


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0B"), (999, "999B"), (1000, "1KB"), (1_230_000, "1.23MB"), (10**13, "10TB")]
)
def test_amounts_are_told_in_their_largest_unit(count, words):
    assert in_words(count) == words
