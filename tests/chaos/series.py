"""Runs that are ended again and again, by kills, signals or a full disk, and continued after each end."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

from chaos.folders import difference

SERVER = Path(__file__).parent / "server.py"
WORDS = ["über", "the", "a", "lazy", "dog", "fox", "jumps\n"]

PASSES = (
    *("--hidden-size", "3", "--num-layers", "1", "--batch-size", "2", "--update-every", "12", "--epochs", "6"),
    *("--validate-every", "8", "--diagnose-every", "24", "--threads", "1", "--accelerator", "cpu"),
    *("--save-minutes", "0.001"),
)
ONLINE = (
    *("--online", "--hidden-size", "3", "--num-layers", "1", "--embedding-size", "3", "--update-every", "5"),
    *("--threads", "1", "--save-minutes", "0.001"),
)
OPTIONS = {"passes": PASSES, "online": ONLINE}


class Server:
    """The process from which all runs are forked."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, words, prints, faults=()):
        """Start a command; `prints` is the path, without suffix, of the files for what it prints."""
        out, err = f"{prints}.out", f"{prints}.err"
        run = {"words": [str(word) for word in words], "out": out, "err": err, "faults": list(faults)}
        return self._ask({"start": run})

    def wait(self, pid):
        """The exit code of a run; -n where signal n killed it."""
        return self._ask({"wait": pid})

    def _ask(self, request):
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self):
        """End the process."""
        self._process.communicate()


class Series:
    """A run in a folder, ended and continued.

    Args:
        server: makes the processes.
        place: an empty folder for the data, what is printed, and the run.
        kind: "passes" or "online".
        size: characters of the text.
    """

    def __init__(self, server, place, kind, size=500):
        self.server, self.place, self.kind = server, place, kind
        self.folder = place / "run"
        self.data = place / "text.txt"
        chance = random.Random(5)
        self.data.write_text(" ".join(chance.choice(WORDS) for _ in range(size))[:size], encoding="utf-8")
        self.said = ""
        self.legs = 0

    def words(self):
        """The command that begins the run, or continues it where it has begun."""
        if (self.folder / "record.json").exists():
            return ["train", "--resume", self.folder]
        return ["train", self.data, "--output", self.folder, *OPTIONS[self.kind]]

    def leg(self, *faults):
        """Run until the end, or until a fault ends it; return the exit code."""
        return self.wait(self.begin(*faults))

    def begin(self, *faults):
        """Start a leg; return its process id."""
        self.legs += 1
        return self.server.start(self.words(), self.place / "printed", faults)

    def wait(self, pid):
        """Wait for a leg; `said` is then what it printed on standard error."""
        code = self.server.wait(pid)
        self.said = (self.place / "printed.err").read_text()
        return code

    def assert_one_sentence(self):
        """What was printed as the reason is one sentence."""
        assert self.said.startswith("throughtime: ") and self.said.count("\n") == 1, self.said

    def complete(self):
        """Continue to the end."""
        assert self.leg() == 0, self.said
        assert self.said == ""


def whole_run(server, place, kind):
    """The folder of a run that nothing disturbs."""
    series = Series(server, place, kind)
    series.complete()
    return series.folder


def same_as_whole(series, whole):
    """What differs from the run that nothing disturbed; empty where nothing does."""
    return difference(series.folder, whole)


def killed_at(name, stage, number=1):
    """A kill -9 at a write."""
    return {"write": name, "number": number, "stage": stage, "do": "SIGKILL"}


def disk_full_at(name, number=1):
    """A disk that is full from a write on."""
    return {"write": name, "number": number, "stage": "aside", "do": "full"}


def signals_in(call, numbers, number=1):
    """Signals that come when a function is called."""
    return {"call": call, "number": number, "do": [signal.Signals(each).name for each in numbers]}
