"""Small run folders to spoil, and the commands that read them."""

import contextlib
import io
import shutil
import traceback
from dataclasses import dataclass
from pathlib import Path

import pytest
from runs.running import at_update, press_ctrl_c

from throughtime.commands.main import main

WORDS = "the lazy dog jumps over ünder quick foxes\n"
OFFLINE = (
    *("--hidden-size", "3", "--num-layers", "1", "--batch-size", "2", "--update-every", "5", "--epochs", "1"),
    *("--validate-every", "6", "--threads", "1", "--accelerator", "cpu", "--nonfinite", "restore"),
)
ONLINE = (
    *("--online", "--gradient", "truncated", "--horizon", "3", "--hidden-size", "3", "--num-layers", "1"),
    *("--update-every", "4", "--threads", "1"),
)
TABLE = (
    *("--hidden-size", "3", "--num-layers", "1", "--batch-size", "2", "--epochs", "1", "--threads", "1"),
    *("--accelerator", "cpu", "--target", "kind", "--id", "who"),
)
SERIES = {
    "forecast": (*TABLE[:-4], "--target", "sold", "--id", "shop", "--time", "day", "--ahead", "2"),
    "model": TABLE[:-4],
    "rows": ("--online", "--target", "x", "--hidden-size", "3", "--num-layers", "1", "--threads", "1"),
}
"""Task → the options of its run."""
READERS = {
    "record.json": ("evaluate", "sample", "report", "diagnose", "resume"),
    "config.yaml": ("resume", "diagnose", "report"),
    "metrics.csv": ("report", "resume"),
    "updates.csv": ("report",),
    "step_norms.csv": ("report",),
    "diagnosis.json": ("report", "diagnose", "resume"),
    "samples.json": ("report",),
    "model.safetensors": ("evaluate", "sample", "diagnose"),
    "last.ckpt": ("resume",),
}
"""File → the commands that read it."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code, what it printed, and the traceback of what it let through."""

    code: int | None
    out: str
    err: str
    traceback: str = ""

    @property
    def fault(self) -> str:
        """What is wrong with the end of the command; "" for a result, or a failure in one sentence."""
        if self.traceback:
            return self.traceback
        if self.code == 0:
            return "" if not self.err else f"code 0, and on stderr: {self.err}"
        good = self.code in (1, 2) and self.err.startswith("throughtime: ") and self.err.count("\n") == 1
        return "" if good and "Traceback" not in self.err else f"code {self.code}: {self.err}"


def run(*words):
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(word) for word in words])
    except BaseException as error:
        return Outcome(None, out.getvalue(), err.getvalue(), "".join(traceback.format_exception(error)[-3:]))
    return Outcome(code, out.getvalue(), err.getvalue())


def command(name, folder, base):
    """The words of a command on a folder, whose texts lie in `base`."""
    online = folder.name == "online"
    files = {"online": "stream.txt", "table": "table.csv", **{name: f"{name}.csv" for name in SERIES}}
    text = base / files.get(folder.name, "text.txt")
    return {
        "predict": ["predict", folder, text, "--output", folder.parent / "out.csv"],
        "evaluate": ["evaluate", folder, text],
        "backtest": ["backtest", folder, text],
        "sample": ["sample", folder, "--length", "5"],
        "report": ["report", folder, "--output", folder.parent / "page.html"],
        "diagnose": ["diagnose", folder, "--steps", "5", "--rows", "2", *(["--data", text] if online else [])],
        "resume": ["train", "--resume", folder],
    }[name]


def make(base):
    """Make a folder with two texts and runs of them that have more to learn, and runs of small tables."""
    for name in ("text.txt", "stream.txt"):
        (base / name).write_text(WORDS * 4, encoding="utf-8")
    (base / "marked.txt").write_text("\ufeff" + WORDS * 4, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        at_update(patch, 13, press_ctrl_c)
        done = run("train", base / "text.txt", "--output", base / "offline", *OFFLINE)
        assert done.code == 130, done
    done = run("report", base / "offline")
    assert done.code == 0, done
    (base / "offline" / "samples.json").write_text('{"throughtime sample": "a text"}')
    done = run("train", base / "stream.txt", "--output", base / "online", *ONLINE)
    assert done.code == 0, done
    rows = [
        f"{who},{step * (who % 2)},{'ab'[step % 2]},{'no' if who % 2 else 'yes'}" for who in range(8) for step in (1, 2)
    ]
    (base / "table.csv").write_text("\n".join(["who,x,word,kind", *rows]))
    done = run("train", base / "table.csv", "--output", base / "table", *TABLE)
    assert done.code == 0, done
    _make_series(base)
    with (base / "stream.txt").open("a") as stream:
        stream.write("the fox\n")


def _make_series(base):
    sales = [f"{shop},2024-01-{day:02d},{10 * shop + day % 7}" for shop in (1, 2) for day in range(1, 25)]
    turns = [f"{step % 3 == 0:d},{step % 3 == 1:d}" for step in range(30)]
    for name, lines in (("forecast", ["shop,day,sold", *sales]), ("model", ["a,b", *turns])):
        (base / f"{name}.csv").write_text("\n".join(lines))
    (base / "rows.csv").write_text("\n".join(["kind,x", *(f"{'ab'[step % 2]},{step % 5}" for step in range(20))]))
    for name, options in SERIES.items():
        done = run("train", base / f"{name}.csv", "--output", base / name, *options)
        assert done.code == 0, done


def copy(run_folder, place):
    """A copy of a run folder, in an empty place."""
    shutil.rmtree(place, ignore_errors=True)
    return Path(shutil.copytree(run_folder, place / run_folder.name))
