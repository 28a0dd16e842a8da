"""What throughtime relies on in torch's private names, and that no other module uses any."""

import ast
import pathlib
import re

import pytest
import torch
import torch.autograd.forward_ad as forward_ad

import throughtime
from throughtime.torch_internals import (
    TorchDispatchMode,
    assert_later,
    forward_mode_active,
    is_expanded_weight,
    times_changed,
    transforms_active,
)

ROOT = pathlib.Path(throughtime.__file__).parent
OF_TENSORS = {"_version", "_cdata", "_base", "_grad_fn", "_flat_weights", "_current_level"}


@pytest.mark.parametrize(
    "transform",
    [
        torch.func.vmap,
        lambda function: torch.func.vmap(torch.func.grad(function)),
        torch.func.jacrev,
        torch.func.jacfwd,
        lambda function: lambda x: torch.func.jvp(function, (x,), (x,)),
    ],
    ids=["vmap", "grad", "jacrev", "jacfwd", "jvp"],
)
def test_every_transform_is_seen_while_it_works(transform):
    seen = []

    def function(x):
        seen.append(transforms_active())
        return x.sum()

    assert not transforms_active()
    transform(function)(torch.ones(3))
    assert seen and all(seen) and not transforms_active()


def test_forward_mode_is_seen_while_a_level_is_open():
    assert not forward_mode_active()
    with forward_ad.dual_level():
        assert forward_mode_active() and not transforms_active()
    assert not forward_mode_active()


def test_a_condition_is_checked_when_its_value_is_known():
    assert_later(torch.tensor(True), "never said")
    with pytest.raises(RuntimeError, match="lengths must lie in 0 … 3"):
        assert_later(torch.tensor(False), "lengths must lie in 0 … 3")


def test_a_condition_does_not_break_a_graph_and_is_checked_each_time_it_runs():
    @torch.compile(backend="aot_eager", fullgraph=True)
    def checked(x):
        assert_later((x < 3).all(), "x must be below 3")
        return x + 1

    assert checked(torch.ones(2)).tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="x must be below 3"):
        checked(torch.full((2,), 3.0))


def test_changes_in_place_are_counted_also_through_views_and_without_gradients():
    tensor = torch.zeros(3)
    before = times_changed(tensor)
    _ = tensor + 1, tensor[0].item(), tensor.clone().add_(1)
    assert times_changed(tensor) == before
    tensor[1:].add_(1)
    assert times_changed(tensor) == before + 1
    with torch.no_grad():
        tensor.copy_(torch.ones(3))
    assert times_changed(tensor) == before + 2


def test_an_expanded_weight_is_known_by_its_class():
    from torch.nn.utils._per_sample_grad import call_for_per_sample_grads

    class Looking(torch.nn.Linear):
        def forward(self, x):
            seen.append(is_expanded_weight(self.weight))
            return super().forward(x)

    seen, layer, x = [], Looking(3, 4), torch.randn(2, 3)
    layer(x)
    call_for_per_sample_grads(layer)(x)
    assert seen == [False, True]


def test_a_dispatch_mode_sees_the_operations_of_both_passes():
    seen = []

    class Listing(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.append(function.overloadpacket.__name__)
            return function(*args, **(kwargs or {}))

    x = torch.ones(2, requires_grad=True)
    with Listing():
        x.tanh().sum().backward()
    assert "tanh" in seen and "tanh_backward" in seen
    del seen[:]
    _ = x.tanh()
    assert seen == []


def _private_names(tree: ast.Module) -> set[str]:
    """Private names of torch that a module imports or reaches through an attribute."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute):
            chain = ast.unparse(node)
            found |= {f"torch.{node.attr}"} if node.attr in OF_TENSORS else {chain}
    return {
        name
        for name in found
        if re.fullmatch(r"(torch|nn|forward_ad)\.[\w.]+", name)
        and any(part.startswith("_") and not part.endswith("__") for part in name.split("."))
    }


def test_private_names_of_torch_are_used_in_one_module_only():
    users = {
        path.relative_to(ROOT).as_posix(): names
        for path in ROOT.rglob("*.py")
        if (names := _private_names(ast.parse(path.read_text())))
    }
    assert len(users.pop("torch_internals.py")) >= 4, "the search sees none"
    assert users == {}
