"""The bar as a terminal shows it: on a pseudo-terminal, in a process of its own."""

import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from fcntl import ioctl

import yaml

from throughtime.runs import module as training_module
from throughtime.runs.callbacks import progress_bar
from throughtime.runs.engine import start

_SCRIPT = """
import sys
from pathlib import Path
from throughtime.runs import module as training_module
from throughtime.runs.callbacks import progress_bar
from throughtime.runs.engine import start
from throughtime.runs.choice import settings_from
import yaml
settings = settings_from(yaml.safe_load(sys.argv[1]))
start(settings, Path(sys.argv[2]), False, lambda line: print(line))
"""


def _on_a_terminal(*arguments):
    """Run a script on a terminal 118 columns wide and return what it showed."""
    leader, follower = pty.openpty()
    ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 118, 0, 0))
    command = [sys.executable, "-c", _SCRIPT, *arguments]
    with subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower) as process:
        os.close(follower)
        shown = b""
        while process.poll() is None or select.select([leader], [], [], 0)[0]:
            if not select.select([leader], [], [], 0.1)[0]:
                continue
            try:
                shown += os.read(leader, 65536)
            except OSError:  # Linux says so when the other end is closed
                break
        assert process.wait() == 0, shown.decode()
    os.close(leader)
    return shown.decode()


def test_on_a_terminal_a_bar_shows_loss_speed_and_time_left_over_all_updates(small_run, tmp_path):
    shown = _on_a_terminal(yaml.safe_dump(small_run.flat()), str(tmp_path / "run"))
    bars = [line for line in re.split(r"[\r\n]", shown) if " left" in line]
    assert len(bars) > 2
    pattern = r" *\d+%\|.*\| *\d+/288, loss \d\.\d{3} nats = \d\.\d{3} bits/char +[\d.]+k characters/s +\d\d:\d\d left"
    assert re.fullmatch(pattern, bars[-1].strip()), bars[-1]
    assert all(len(line) <= 118 for line in bars)
    assert len(re.findall(r"^.*epoch +\d\.00/2 .*validation", shown, re.M)) == 2


def test_without_a_terminal_there_is_one_line_for_each_validation_and_nothing_else(small_run, tmp_path, capsys):
    said = []
    start(small_run, tmp_path / "run", False, said.append)
    assert capsys.readouterr() == ("", "")
    assert [line[:12] for line in said[-2:]] == ["epoch  1.00/", "epoch  2.00/"]
    assert not [line for line in said[:-2] if line.startswith("epoch")]


def test_without_a_terminal_a_line_tells_the_progress_where_none_came_for_a_minute(small_run, tmp_path, monkeypatch):
    clock, said = [0.0], []
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: clock[0])
    real = training_module.SequenceTraining.training_step

    def step(self, batch):
        clock[0] += 1
        return real(self, batch)

    monkeypatch.setattr(training_module.SequenceTraining, "training_step", step)
    start(small_run, tmp_path / "run", False, said.append)
    told = [line for line in said if line.startswith("update")]
    assert len(told) == 4, "two in each of the epochs of 144 updates"
    pattern = r"update 60 of 288  03:48 left  loss \d\.\d{3} nats = \d\.\d{3} bits/char  [\d.]+k characters/s"
    assert re.fullmatch(pattern, told[0]), told[0]
