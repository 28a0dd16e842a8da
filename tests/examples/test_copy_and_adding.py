"""Gated networks learn the copy and the adding problem."""

import math


def test_both_baselines_are_beaten(script, capsys):
    results = {(problem, method): result for problem, _, method, result in script("copy_and_adding").main(["--quick"])}
    copied, added = results["copy", "BPTT(save='gates')"], results["adding", "BPTT(save='gates')"]
    assert copied.baseline == 10 * math.log(8) / (20 + 20) and added.baseline == 1 / 6
    assert copied.loss < 0.95 * copied.baseline
    assert added.loss < 0.1 * added.baseline
    assert results["adding", "TruncatedBPTT(horizon=10)"].memory > added.memory
    assert all(f"{result.loss:.4f}" in line for result, line in zip(results.values(), _rows(capsys), strict=True))


def _rows(capsys):
    return capsys.readouterr().out.splitlines()[2:]
