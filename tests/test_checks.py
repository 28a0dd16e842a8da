"""The checks of sizes, shares and flags that every room shares."""

import pickle
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import torch

from throughtime.checks import check_flag, check_size, is_real, is_whole, keep_sizes
from throughtime.errors import ArgumentError, ArgumentTypeError


@pytest.mark.parametrize("kind", [int, np.int64, np.int8, np.uint16])
def test_a_whole_number_of_any_type_becomes_a_plain_int(kind):
    size = check_size("size", kind(3), least=3)
    assert size == 3 and type(size) is int
    assert is_whole(kind(3), 3) and not is_whole(kind(3), 4)


@pytest.mark.parametrize("value", [True, np.True_, 3.0, np.float32(3), "3", None, torch.tensor(3), np.array(3), 3j])
def test_what_is_no_whole_number_is_a_type_error_too(value):
    assert not is_whole(value, 0)
    for error in (ArgumentError, ArgumentTypeError, TypeError, ValueError):
        with pytest.raises(error, match=r"^size is .*; it must be a whole number, at least 1: leave it out$"):
            check_size("size", value, least=1, cure="leave it out")


def test_a_whole_number_out_of_range_is_a_value_error_alone():
    with pytest.raises(ValueError, match=r"^size is np.int64\(0\); it must be a whole number, at least 1$") as caught:
        check_size("size", np.int64(0), least=1)
    assert not isinstance(caught.value, TypeError)


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.5), np.float64(1), np.int8(2), Fraction(1, 3)])
def test_a_real_number_of_any_type(value):
    assert is_real(value)


@pytest.mark.parametrize("value", [True, np.False_, "0.5", None, 1j, torch.tensor(0.5), np.array([0.5])])
def test_what_is_no_real_number(value):
    assert not is_real(value)


@dataclass(frozen=True)
class Sized:
    """A record with two sizes."""

    rows: int
    columns: int

    def __post_init__(self):
        keep_sizes(self, rows=0, columns=2)


def test_a_record_keeps_plain_ints():
    record = Sized(np.int64(0), np.int16(2))
    assert repr(record) == "Sized(rows=0, columns=2)"
    assert b"numpy" not in pickle.dumps(record)
    with pytest.raises(ArgumentError, match="columns is 1; it must be a whole number, at least 2"):
        Sized(0, 1)


@pytest.mark.parametrize("value", ["False", 0, 1, None, np.True_])
def test_a_flag_is_a_bool(value):
    check_flag("flag", True)
    with pytest.raises(ArgumentTypeError, match="^flag is .*; it must be True or False$"):
        check_flag("flag", value)
