import torch

from throughtime.benchmark.memory import peak_bytes


def test_what_is_alive_together_counts_and_what_was_freed_does_not():
    there = torch.ones(100, dtype=torch.float64)

    def one_after_another():
        a = there + 1
        b = a * 2
        del a
        return b.view(10, 10)[3:] @ torch.ones(10, 1, dtype=torch.float64)

    assert peak_bytes(one_after_another) == 800 + 800
    assert peak_bytes(lambda: [there + i for i in range(3)]) == 3 * 800
    assert peak_bytes(lambda: there.view(10, 10).T[2:].reshape(4, -1).sum()) == 640 + 8


def test_what_only_a_graph_holds_counts():
    leaf = torch.ones(100, dtype=torch.float64, requires_grad=True)

    def chain():
        return leaf.exp().sin().cos().sum()

    assert peak_bytes(chain) == 3 * 800 + 8
    loss = chain()
    assert 800 <= peak_bytes(lambda: torch.autograd.grad(loss, leaf)) <= 4 * 800
