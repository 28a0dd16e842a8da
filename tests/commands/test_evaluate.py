import re

import pytest

from throughtime.records import read_record


def test_the_held_out_text_has_the_loss_that_training_measured(command, text_file, trained, tmp_path):
    held_out = tmp_path / "held-out.txt"
    held_out.write_text(text_file.read_text()[-240:])
    code, out, err = command("evaluate", trained, held_out)
    assert (code, err) == (0, "")
    record = read_record(trained)
    assert f"Text    {held_out}: 240 characters" in out
    assert f"{record.baselines.unigram:.3f} nats" in out and f"{record.baselines.bigram:.3f} nats" in out
    assert f"Result  {record.results.best_validation_loss:.3f} nats" in out


def test_unknown_characters_are_counted_and_named(refused, command, trained, tmp_path):
    path = tmp_path / "other.txt"
    path.write_text("the lazy dog Ж the fox Ж Ω")
    sentence = refused("evaluate", trained, path)
    assert "holds 3 characters that the model never saw" in sentence
    assert "'Ж' (U+0416), 'Ω' (U+03A9); --skip-unknown leaves them out" in sentence
    code, out, _ = command("evaluate", trained, path, "--skip-unknown")
    assert code == 0 and f"{path}: 23 characters, 3 unknown characters left out" in out


@pytest.mark.parametrize(("content", "said"), [("", "is empty"), ("a", "is too short"), ("\0a", "NUL")])
def test_a_file_that_cannot_be_evaluated_is_refused(refused, trained, tmp_path, content, said):
    path = tmp_path / "bad.txt"
    path.write_text(content)
    assert said in refused("evaluate", trained, path)


def test_bits_are_nats_divided_by_ln_2(command, text_file, trained):
    _, out, _ = command("evaluate", trained, text_file)
    nats, bits = map(float, re.findall(r"Result  ([\d.]+) nats \(([\d.]+) bits\)", out)[0])
    assert bits == pytest.approx(nats / 0.6931, abs=2e-3)
