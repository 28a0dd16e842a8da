"""tools/install_torch.py brings the CPU build of torch, whatever index can be reached, and says what else it took."""

import importlib.util
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parent.parent
INDEX = "https://download.pytorch.org/whl/cpu"


@pytest.fixture
def tool():
    spec = importlib.util.spec_from_file_location("install_torch", ROOT / "tools" / "install_torch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pip(tool, monkeypatch):
    """The calls of pip, each as its words after "install"; those that ask for a name in `fails` fail."""
    calls, fails = [], set()

    def run(command, **_):
        assert command[1:4] == ["-m", "pip", "install"] and "--no-deps" in command
        calls.append(command[4:])
        return SimpleNamespace(returncode=int(command[-1] in fails))

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(tool, "installed", lambda: "")
    monkeypatch.setattr(tool.platform, "system", lambda: "Linux")
    return SimpleNamespace(calls=calls, fails=fails)


def _pin():
    (line,) = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch==")]
    return line.removeprefix("torch==")


def test_the_cpu_build_is_asked_for_first_and_alone(tool, pip, capsys):
    assert tool.main() == 0 and capsys.readouterr().out == ""
    (words,) = pip.calls
    assert words[-1] == f"torch=={_pin()}+cpu" and words[words.index("--index-url") + 1] == INDEX
    assert int(words[words.index("--timeout") + 1]) * (1 + int(words[words.index("--retries") + 1])) <= 60


def test_without_pytorchs_index_pips_own_is_taken_and_that_is_said(tool, pip, capsys):
    pip.fails.add(f"torch=={_pin()}+cpu")
    assert tool.main() == 0
    assert pip.calls[1][-1] == f"torch=={_pin()}" and "--index-url" not in pip.calls[1]
    (line,) = capsys.readouterr().out.splitlines()
    assert INDEX in line and "pip's own index" in line and "CUDA build of several gigabytes" in line


def test_without_any_torch_it_fails(tool, pip):
    pip.fails |= {f"torch=={_pin()}+cpu", f"torch=={_pin()}"}
    assert tool.main() == 1


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_elsewhere_the_public_index_has_no_cuda_build(tool, pip, monkeypatch, system):
    monkeypatch.setattr(tool.platform, "system", lambda: system)
    assert tool.main() == 0
    assert [words[-1] for words in pip.calls] == [f"torch=={_pin()}"] and "--index-url" not in pip.calls[0]


@pytest.mark.parametrize(("build", "is_kept"), [("{}", True), ("{}+cpu", True), ("{}+cu130", True), ("2.11.0", False)])
def test_whatever_build_of_this_version_is_there_is_kept(tool, pip, monkeypatch, build, is_kept):
    monkeypatch.undo()
    monkeypatch.setattr(tool, "version", lambda name: build.format(_pin()))
    monkeypatch.setattr(tool, "pip", lambda *words, quiet=False: pip.calls.append(words) or True)
    assert tool.main() == 0 and (pip.calls == []) == is_kept


def test_a_missing_pin_is_refused(tool):
    with pytest.raises(SystemExit, match="no line of the form torch=="):
        tool.pinned("torch>=2\n")


def test_the_makefile_runs_it_before_pip_resolves_anything_else():
    rule = (ROOT / "Makefile").read_text().split("$(VENV)/.train: ")[1].split("\n\n")[0]
    assert rule.index("python tools/install_torch.py") < rule.index("$(INSTALL)")
