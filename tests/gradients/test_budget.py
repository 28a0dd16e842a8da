import pytest

from throughtime.errors import ArgumentError
from throughtime.gradients.budget import bytes_of, in_words


@pytest.mark.parametrize(
    ("memory", "count"),
    [(1, 1), (4096, 4096), ("256MB", 256_000_000), ("1.5 GB", 1_500_000_000), ("3kB", 3000), ("3KB", 3000),
     (" 7 B ", 7), ("2KiB", 2048), ("2MiB", 2 << 20), ("0.5GiB", 1 << 29)],
)  # fmt: skip
def test_units(memory, count):
    assert bytes_of(memory) == count


@pytest.mark.parametrize(
    "memory", [0, -1, 1.5, True, "256", "MB", "256mb", "256TB", "-1MB", "0.1B", "1e3MB", None, [1]]
)
def test_whatever_is_no_memory_is_refused(memory):
    with pytest.raises(ArgumentError, match="memory is .*must be a whole number of bytes.*'256MB'"):
        bytes_of(memory)


def test_the_argument_is_named():
    with pytest.raises(ArgumentError, match="limit is 'much'"):
        bytes_of("much", "limit")


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1310, "1.31 kB"), (60_000_000, "60 MB"), (2_500_000_000, "2.5 GB")],
)
def test_in_words(count, words):
    assert in_words(count) == words
