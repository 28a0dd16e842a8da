"""Which networks' gradients reach back to the marks of the adding problem."""


def test_the_gradient_of_a_plain_network_dies_and_that_of_chrono_gates_lives(script, tmp_path, capsys):
    picture = tmp_path / "picture.png"
    results = script("where_gradients_die").main(["--quick", "--output", str(picture)])
    before = {one.name: one.before.horizon["recurrent.l0"][1].lag for one in results}
    assert before["RNN"] < 12 and before["GRU"] < 12 and before["LSTM"] < 12
    assert before["RNN, orthogonal"] > 29 and before["LSTM, chrono"] > 29, "further than the sequence is long"
    assert "0.1667" in capsys.readouterr().out and picture.read_bytes().startswith(b"\x89PNG")
