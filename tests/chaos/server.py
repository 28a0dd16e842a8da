"""Runs of the command, each in a process of its own that is forked from this one, in which all is imported.

A request is a line of JSON on standard input: {"start": …} is answered by the process id, {"wait": pid} by the exit
status as of `os.waitstatus_to_exitcode`. A started run has `words`, the command line; `out` and `err`, files for what
it prints; and `faults`, what shall go wrong in it:

- {"write": name, "number": k, "stage": …, "do": …}: at the k-th write of a file, counted from 1; "" stands for any
  file. Stage "half": the first half is written; "aside": all is written beside the old file; "renamed": the new file
  is in place. Do "full" lets this write and all later ones fail as on a full disk; a signal's name sends it.
- {"call": "module:Class.function", "number": k, "do": [names of signals]}: when the function is called for the k-th
  time.
- {"ignore": name of a signal}: as nohup does.
"""

import errno
import functools
import importlib
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import throughtime.commands.main
import throughtime.commands.train
import throughtime.report
import throughtime.runs.engine
import throughtime.runs.tasks.text
from throughtime.report.page import render


class _Writes:
    """Every write of a run, as they all go through `replace_file`: fsync, then a rename."""

    def __init__(self, faults):
        self._faults = [fault for fault in faults if "write" in fault]
        self._counts = Counter()
        self._name, self._full = "", False
        self._fsync, self._replace = os.fsync, Path.replace
        os.fsync, Path.replace = self.fsync, lambda path, target: self.replace(path, target)

    def fsync(self, descriptor):
        self._name = Path(os.readlink(f"/proc/self/fd/{descriptor}")).name.removesuffix(".partial")
        self._counts.update((self._name, ""))
        if self._due("half"):
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            self._act("half")
        self._act("aside")
        if self._full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._fsync(descriptor)

    def replace(self, path, target):
        self._replace(path, target)
        self._act("renamed")

    def _due(self, stage):
        return [
            fault["do"]
            for fault in self._faults
            if fault["write"] in ("", self._name)
            and fault["stage"] == stage
            and fault["number"] == self._counts[fault["write"]]
        ]

    def _act(self, stage):
        for action in self._due(stage):
            if action == "full":
                self._full = True
            else:
                os.kill(os.getpid(), signal.Signals[action])


def _watch_call(fault):
    module, _, name = fault["call"].partition(":")
    *outer, name = name.split(".")
    place = importlib.import_module(module)
    for part in outer:
        place = getattr(place, part)
    real, calls = getattr(place, name), []

    @functools.wraps(real)  # Lightning looks at the arguments
    def call(*arguments, **options):
        calls.append(None)
        if len(calls) == fault["number"]:
            for action in fault["do"]:
                os.kill(os.getpid(), signal.Signals[action])
        return real(*arguments, **options)

    setattr(place, name, call)


def _run(words, out, err, faults):
    for descriptor, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        os.dup2(os.open(path, flags, 0o600), descriptor)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _Writes(faults)
    for fault in faults:
        if "call" in fault:
            _watch_call(fault)
        elif "ignore" in fault:
            signal.signal(signal.Signals[fault["ignore"]], signal.SIG_IGN)
    return throughtime.commands.main.main(words)


def _start(request):
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        code = _run(**request)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve():
    assert callable(render)
    for line in sys.stdin:
        request = json.loads(line)
        answer = _start(request["start"]) if "start" in request else _wait(request["wait"])
        print(answer, flush=True)


def _wait(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    import matplotlib.backends.backend_svg  # noqa: F401  (what the first report would import)

    _serve()
