import pytest
import torch

from throughtime.errors import ArgumentError
from throughtime.sequences.memory import check_memory, converted, is_readable


def test_a_storage_that_was_cut_short_is_named_with_both_numbers():
    values = torch.zeros(3, 4)
    check_memory("values", values)
    values.untyped_storage().resize_(47)
    with pytest.raises(ArgumentError, match=r"^values has a storage of 47 bytes, and 48 belong to it; .* freed"):
        check_memory("values", values)


def test_a_view_needs_only_what_it_reaches():
    values = torch.zeros(3, 4)
    first, column, expanded, none = values[0], values[:2, 1], values[:1].expand(9, 4), values[3:]
    values.untyped_storage().resize_(24)
    for view in (first, column, expanded, none):
        check_memory("view", view)
    values.untyped_storage().resize_(20)
    for view in (first, expanded, none):
        check_memory("view", view)
    with pytest.raises(ArgumentError, match=r"^column has a storage of 20 bytes, and 24 belong to it"):
        check_memory("column", column)


def test_tensors_without_a_storage_are_not_checked():
    check_memory("sparse", torch.eye(3).to_sparse())
    assert torch.equal(torch.func.vmap(lambda row: check_memory("row", row) or row)(torch.eye(3)), torch.eye(3))


def test_a_conversion_that_reads_beyond_the_storage_is_refused():
    values = torch.zeros(3, dtype=torch.int32)
    values.untyped_storage().resize_(8)
    assert converted("values", values, torch.int32) is values
    with pytest.raises(ArgumentError, match=r"^values has a storage of 8 bytes, and 12"):
        converted("values", values, torch.int64)
    meta = torch.zeros(3, device="meta")
    assert not is_readable(meta) and converted("values", meta, torch.float64).dtype is torch.float64
