from collections import OrderedDict, UserDict, namedtuple
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from throughtime.nests import leaves_of, map_named_tensors, map_tensors, refill, tensors_of

Pair = namedtuple("Pair", ["first", "second"])


@dataclass(frozen=True)
class Output:
    logits: torch.Tensor
    name: str


def test_every_tensor_is_changed_in_its_place_and_named_by_its_path():
    nest = [{"a": torch.ones(2)}, Pair(torch.ones(1), "x"), Output(torch.ones(3), "y"), (torch.ones(4), None)]
    seen = {}
    changed = map_named_tensors(lambda path, tensor: seen.setdefault(path, tensor) * 2, nest, "in")
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
    changed = map_named_tensors(lambda path, tensor: tensor.double() if path == "x[0]" else tensor, packed, "x")
    assert isinstance(changed, PackedSequence) and changed.data.dtype == torch.float64
    assert torch.equal(changed.batch_sizes, packed.batch_sizes)


def test_leaves_are_listed_and_put_back_in_order():
    nest = {"b": [torch.ones(1), 3], "a": (None, Output(torch.ones(2), "y"))}
    assert [path for path, _ in leaves_of(nest, "n")] == ["n['b'][0]", "n['b'][1]", "n['a'][0]", "n['a'][1].logits",
                                                          "n['a'][1].name"]  # fmt: skip
    assert [len(tensor) for tensor in tensors_of(nest)] == [1, 2]
    assert refill(nest, "vwxyz") == {"b": ["v", "w"], "a": ("x", Output("y", "z"))}
    assert nest["b"][1] == 3


def test_containers_keep_their_class():
    class Names(list):
        pass

    ordered, other = OrderedDict(a=torch.ones(1)), UserDict(a=torch.ones(1))
    changed = map_tensors(torch.neg, (ordered, Names([torch.ones(1)]), other))
    assert type(changed[0]) is OrderedDict and type(changed[1]) is Names and type(changed[2]) is dict
    assert [one.item() for one in tensors_of(changed)] == [-1, -1, -1] and ordered["a"].item() == 1


def test_a_tensor_alone_is_a_nest_too():
    assert map_tensors(torch.neg, torch.ones(1)).item() == -1 and tensors_of(torch.ones(1))[0].item() == 1
    assert map_tensors(torch.neg, "words") == "words" and tensors_of(Output) == []
