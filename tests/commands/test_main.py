import os
import re
import signal
import subprocess
import sys

import pytest

import throughtime
from throughtime.commands import sample
from throughtime.commands.main import main


def _imported(*words):
    """The modules that a command line imports."""
    script = (
        "import sys\nfrom throughtime.commands.main import main\ncode = main(sys.argv[1:])\n"
        "print(*sys.modules, file=sys.stderr)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["sample", "--help"], ["evaluate", "--help"]])
def test_help_does_not_wait_for_torch(words):
    imported = _imported(*words)
    assert "throughtime" in imported and "jsonargparse" in imported
    assert not imported & {"torch", "lightning", "numpy", "safetensors", "tqdm"}


def test_help_lists_every_sub_command_with_its_line(command):
    code, out, err = command("--help")
    assert (code, err) == (0, "")
    for name in ("train", "sample", "evaluate", "equations"):
        assert re.search(rf"^    {name} +\w", out, re.M), name
    assert re.search(r"^    verify +Another name of equations\.$", out, re.M)
    assert "Write text with a trained model" in out
    assert command()[:2] == (code, out), "no arguments at all show the help"


def test_the_version(command):
    assert command("--version") == (0, f"throughtime {throughtime.__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "COMMAND is trian; it must be one of backtest, bench, diagnose, equations, evaluate"),
        (["train", "x", "--hiden-size", "3"], "--hiden-size 3 is not known here; --help lists the options."),
        (["train", "x", "--cell", "foo"], "--cell is foo; it must be one of lstm, gru, rnn."),
        (["train", "x", "--hidden-size", "2.5"], "--hidden-size is 2.5; it must be a whole number."),
        (["train", "x", "--dropout", "much"], "--dropout is much; it must be a number."),
        (["train", "x", "--dropout", "1.5"], "--dropout is 1.5; it must be at least 0 and below 1."),
        (["train", "x", "--config", "absent.yaml"], "--config: File does not exist"),
        (["train", "x", "--config"], "expected one argument"),
        (["train"], "FILE is missing"),
        (["sample"], "RUN is missing"),
    ],
)
def test_wrong_arguments_are_named_in_one_sentence_and_exit_with_2(refused, words, said):
    assert said in refused(*words, code=2)


def test_ctrl_c_outside_of_training_is_130(refused, monkeypatch):
    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(sample, "run", interrupted)
    assert refused("sample", "x", code=130) == "Interrupted."


def test_an_error_that_is_not_ours_is_not_hidden(monkeypatch):
    def broken(arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(sample, "run", broken)
    with pytest.raises(ZeroDivisionError):
        main(["sample", "x"])


def test_without_jsonargparse_the_way_to_install_it_is_said(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "jsonargparse", None)
    assert refused("--help") == "The command needs more than the library: pip install 'throughtime[train]'."


@pytest.mark.parametrize(("given", "found"), [(None, "2000"), ("ACTIVE", None)])
def test_waiting_threads_soon_leave_the_cores_to_others_unless_the_user_says_otherwise(monkeypatch, given, found):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)
    if given:
        monkeypatch.setenv("OMP_WAIT_POLICY", given)
    seen = []
    monkeypatch.setattr(sample, "run", lambda arguments: seen.append(os.environ.get("GOMP_SPINCOUNT")) or 0)
    assert main(["sample", "x"]) == 0
    assert seen == [found]


def test_a_reader_that_goes_away_is_no_error_message(trained):
    script = "import sys; from throughtime.commands.main import main; sys.exit(main())"
    words = [sys.executable, "-c", script, "sample", str(trained), "--length", "100000"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        assert writer.stdout is not None and writer.stderr is not None
        writer.stdout.read(10)
        writer.stdout.close()
        assert writer.stderr.read() == b""
        assert writer.wait() not in (0, -signal.SIGPIPE)
