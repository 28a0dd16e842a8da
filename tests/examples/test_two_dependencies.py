"""What a window sees, what a horizon reaches, what RTRL carries, on the two-dependency stream."""

from throughtime.data.problems import two_dependency_entropies


def test_only_what_reaches_back_eight_steps_learns_the_second_dependency(script, tmp_path, capsys):
    picture = tmp_path / "picture.png"
    results = script("two_dependencies").main(["--quick", "--output", str(picture)])
    levels = two_dependency_entropies()
    assert abs(results["window 5"].final - levels.lag_3) < 0.01
    learned = ("window 9", "horizon 9", "RTRL")
    assert all(results[name].final < levels.both + 0.025 for name in learned)
    assert min(results["window 5"].final, results["horizon 4"].final) > max(results[n].final for n in learned) + 0.02
    rows, units, float32 = 64, 24, 4
    assert results["RTRL"].carried == float32 * rows * units * units * (1 + units + 2)  # B·S·P
    assert results["horizon 9"].carried == float32 * 9 * rows * (1 + 1 + units)  # x, y and h of nine steps
    assert f"{results['RTRL'].final:.4f}" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")
