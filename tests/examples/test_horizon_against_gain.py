"""What a gain does to how far a gradient reaches, against the law g^k."""

import math

import pytest


def test_the_reach_follows_the_gain_and_is_no_constant(script, tmp_path, capsys):
    picture = tmp_path / "picture.png"
    points = {point.gain: point for point in script("horizon_against_gain").main(["--quick", "--output", str(picture)])}
    for gain in (0.5, 0.577):
        lag, low, high = points[gain].horizon(0.01)
        assert lag == pytest.approx(math.log(0.01) / math.log(gain), rel=0.1)
        assert low <= lag <= high
    assert 7.5 < points[0.577].horizon(0.01)[0] < 9, "torch.nn.RNN's own start is where the claim comes true"
    assert points[0.9].horizon(0.01)[0] > 40
    assert "vanishing" in capsys.readouterr().out and picture.read_bytes().startswith(b"\x89PNG")
