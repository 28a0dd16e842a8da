"""A plain function is trained by three methods with no other code."""

import math

import pytest

CLEARLY_LEARNED = 0.8 * math.log(2)


def test_every_method_learns_to_recall_and_the_exact_ones_learn_the_same(script, capsys):
    losses = script("own_cells").main(["--quick"])
    assert len(losses) == 6 and all(loss < CLEARLY_LEARNED for loss in losses.values())
    for cell in ("rate_network", "minimal_gated_unit"):
        assert losses[cell, "RTRL"] == pytest.approx(losses[cell, "BPTT"], abs=1e-3)
        assert abs(losses[cell, "SnAp"] - losses[cell, "BPTT"]) > 0.01  # it is another method, and an approximation
    printed = capsys.readouterr().out
    assert all(f"{loss:.4f} nats" in printed for loss in losses.values())
