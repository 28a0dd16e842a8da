"""Words for counts, shares, lists and reasons, as messages and reports show them."""

from collections.abc import Iterable

_INVARIABLE = ("series",)
"""Nouns whose plural is the singular."""


def plural_noun(noun: str) -> str:
    """Return the plural of a noun, such as "bytes" for "byte"."""
    return noun if noun in _INVARIABLE else f"{noun}s"


def singular_noun(nouns: str) -> str:
    """Return the singular of a plural noun, such as "byte" for "bytes"."""
    return nouns if nouns in _INVARIABLE else nouns.removesuffix("s")


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, such as "1 thread" or "2,000 threads"."""
    return f"{count:,} {noun if count == 1 else plural_noun(noun)}"


def percent(share: float, digits: int = 2) -> str:
    """Return a share in percent, such as "1.5 %".

    Args:
        share: the share; 1 is the whole.
        digits: number of significant digits; a share with more digits before the decimal point keeps all of those.
    """
    value = 100 * share
    # The format "g" would round such a value to 10**digits or more, and write it with an exponent.
    large = value >= 10**digits - 0.5
    return f"{value:.0f} %" if large else f"{value:.{digits}g} %"


def listed(words: Iterable[object], conjunction: str = "and") -> str:
    """Return words in one phrase, such as "a, b and c"; no words give ""."""
    *others, last = list(map(str, words)) or [""]
    return f"{', '.join(others)} {conjunction} {last}" if others else last


def reason_of(error: BaseException) -> str:
    """Return the first line of what an error says, without a full stop.

    An error without a text gives its class: an OSError that no system call raised has no `strerror`, and others may
    have an empty message.
    """
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return next(iter(said.strip().splitlines()), "").rstrip(".: ") or type(error).__name__
