import pytest

from throughtime.benchmark.grid import VARIANTS

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from throughtime.benchmark.plot import draw  # noqa: E402  (needs matplotlib)


def test_the_grid_is_drawn_without_its_variants(measured, tmp_path):
    timed = [
        measured("rnn", (1, 32, 100), torch=(0.06,)),
        measured("rnn", (8, 64, 100), torch=(0.0015,)),
        measured("lstm", (8, 64, 100), torch=(0.003,)),
        measured("gru", (8, 64, 100), VARIANTS["float64"], torch=(0.003,)),
    ]
    draw(timed, tmp_path / "grid", "svg")
    text = (tmp_path / "grid").read_text(encoding="utf-8")
    for said in ("rnn: time of torch.nn over ours", "lstm: time of torch.nn over ours", "1x32x100", "T=100"):
        assert f"<!-- {said} -->" in text, said
    assert "gru" not in text


def test_nothing_timed_is_an_empty_picture(tmp_path):
    draw([], tmp_path / "grid", "png")
    assert (tmp_path / "grid").read_bytes().startswith(b"\x89PNG")
