import pytest
import safetensors.torch
import torch
from commands.processes import SMALL, process

from throughtime.commands.sample import LONGEST
from throughtime.records.ranges import shown


def test_a_sample_starts_with_its_prompt_and_has_its_length(command, trained):
    code, out, err = command("sample", trained, "--length", 40, "--prompt", "the lazy ")
    assert (code, err) == (0, "")
    assert out.startswith("the lazy ") and len(out) == 9 + 40 + 1


def test_a_seed_gives_the_same_text_again(command, trained):
    first = command("sample", trained, "--length", 60, "--seed", 3)
    assert command("sample", trained, "--length", 60, "--seed", 3) == first
    assert command("sample", trained, "--length", 60, "--seed", 4) != first


def test_temperature_zero_needs_no_seed(command, trained):
    words = ("sample", trained, "--length", 30, "--temperature", 0)
    assert command(*words, "--seed", 1) == command(*words, "--seed", 2)


def test_a_character_that_the_model_never_saw_is_refused_by_name(refused, trained):
    assert "--prompt holds 'Ж' (U+0416); the model never saw" in refused("sample", trained, "--prompt", "aЖ", code=2)


def test_a_negative_temperature_is_refused(refused, trained):
    assert "--temperature is -1.0" in refused("sample", trained, "--temperature", "-1", code=2)


def test_what_is_no_run_is_refused(refused, tmp_path):
    assert "is not a folder" in refused("sample", tmp_path / "absent")
    assert "has no record.json" in refused("sample", tmp_path)


def test_damaged_weights_are_named(refused, trained):
    path = trained / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "model.safetensors does not hold the weights" in refused("sample", trained)


def test_weights_that_are_not_numbers_are_named(refused, trained):
    weights = safetensors.torch.load_file(trained / "model.safetensors")
    weights["readout.bias"][0] = float("nan")
    safetensors.torch.save_file(weights, trained / "model.safetensors")
    assert "the weights readout.bias hold NaN" in refused("sample", trained)


def test_weights_are_read_without_pickle(command, trained, monkeypatch):
    (trained / "last.ckpt").unlink()
    monkeypatch.setattr(torch, "load", None)
    assert command("sample", trained, "--length", 5)[0] == 0


def test_text_is_written_as_it_comes(trained):
    with process("sample", trained, "--length", 1000000) as running:
        assert running.stdout is not None
        assert len(running.stdout.read(20)) == 20
        running.kill()


def test_a_model_of_bytes_writes_whole_characters(command, tmp_path):
    path = tmp_path / "umlauts.txt"
    path.write_text("äöü" * 400)
    larger = (*SMALL, "--hidden-size", 16, "--learning-rate", 0.03, "--epochs", 3)
    assert command("train", path, "--units", "bytes", "--output", tmp_path / "run", *larger)[0] == 0
    code, out, _ = command("sample", tmp_path / "run", "--length", 12, "--temperature", 0, "--prompt", "ä")
    assert code == 0 and len(out) == 1 + 6 + 1 and set(out) <= set("äöü\n")


@pytest.mark.parametrize("seed", [-1, 2**63, 10**400])
def test_a_seed_that_no_generator_takes_is_refused(refused, trained, seed):
    assert f"--seed is {shown(seed)}; it must be at least 0 and below {2**63}" in refused(
        "sample", trained, "--seed", seed, code=2
    )
    assert refused("train", "pydoc", "--seed", seed, code=2).startswith(
        f"--seed is {shown(seed)}; it must be at least 0"
    )


def test_a_sample_longer_than_anybody_could_wait_for_is_refused(refused, trained):
    assert refused("sample", trained, "--length", LONGEST + 1, code=2) == (
        "--length is 10000001; it must be at most 10000000: draw several samples."
    )
