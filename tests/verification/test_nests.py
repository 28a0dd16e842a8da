from collections import namedtuple
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from throughtime.verification.nests import map_tensors

Pair = namedtuple("Pair", ["first", "second"])


@dataclass(frozen=True)
class Output:
    logits: torch.Tensor
    name: str


def test_every_tensor_is_changed_in_its_place_and_named_by_its_path():
    nest = [{"a": torch.ones(2)}, Pair(torch.ones(1), "x"), Output(torch.ones(3), "y"), (torch.ones(4), None)]
    seen = {}
    changed = map_tensors(nest, "in", lambda path, tensor: seen.setdefault(path, tensor) * 2)
    assert {path: len(tensor) for path, tensor in seen.items()} == {
        "in[0]['a']": 2,
        "in[1][0]": 1,
        "in[2].logits": 3,
        "in[3][0]": 4,
    }
    assert isinstance(changed[1], Pair) and changed[1].second == "x" and isinstance(changed[2], Output)
    assert changed[0]["a"].tolist() == [2, 2] and changed[2].logits.tolist() == [2, 2, 2] and changed[3][1] is None
    assert nest[0]["a"].tolist() == [1, 1]


def test_a_packed_sequence_stays_one():
    packed = pack_sequence([torch.ones(3, 2), torch.ones(1, 2)])
    changed = map_tensors(packed, "x", lambda path, tensor: tensor.double() if path == "x[0]" else tensor)
    assert isinstance(changed, PackedSequence) and changed.data.dtype == torch.float64
    assert torch.equal(changed.batch_sizes, packed.batch_sizes)
