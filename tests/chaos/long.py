"""End runs at random, for as long as is given, and count those that were lost: `make chaos`.

Each run is ended up to twelve times, by a kill -9 at a random time or write, a stop signal in a random phase, once or
twice, or a full disk at a random write. It is continued after each end, and compared with a run that nothing disturbed.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos.series import Series, Server, disk_full_at, killed_at, same_as_whole, signals_in, whole_run
from chaos.test_survival import FILES, KINDS, PHASES, SIGNALS

LEGS = 12


class Lost(Exception):
    """A run that did not end as promised, or is not the run that nothing disturbed."""


def _kill_at_a_time(series, chance):
    pid = series.begin()
    time.sleep(chance.uniform(0.05, 1.5))
    os.kill(pid, signal.SIGKILL)
    return series.wait(pid), -signal.SIGKILL


def _kill_at_a_write(series, chance):
    name = chance.choice([*FILES[series.kind], ""])
    fault = killed_at(name, chance.choice(["half", "aside", "renamed"]), chance.randrange(1, 4 if name else 40))
    return series.leg(fault), -signal.SIGKILL


def _signal_in_a_phase(series, chance):
    call = chance.choice(list(PHASES[series.kind].values()))
    signals = chance.choices(SIGNALS, k=chance.randrange(1, 3))
    return series.leg(signals_in(call, signals, chance.randrange(1, 9))), 130


def _full_disk_at_a_write(series, chance):
    name = chance.choice([*FILES[series.kind], ""])
    return series.leg(disk_full_at(name, chance.randrange(1, 4 if name else 40))), 1


WAYS = {
    "kill -9 at a time": _kill_at_a_time,
    "kill -9 at a write": _kill_at_a_write,
    "signal in a phase": _signal_in_a_phase,
    "full disk at a write": _full_disk_at_a_write,
}


def _try(server, seed, wholes, counts):
    """Take one run through its ends; raise `Lost` where it is not what was promised."""
    chance, kind = random.Random(seed), KINDS[seed % len(KINDS)]
    with tempfile.TemporaryDirectory() as place:
        series = Series(server, Path(place), kind)
        for _ in range(chance.randrange(1, LEGS + 1)):
            way = chance.choice(list(WAYS))
            code, promised = WAYS[way](series, chance)
            if code == 0:  # it was complete before that happened
                break
            counts[kind, way] += 1
            if code != promised:
                raise Lost(f"{way}: exit code {code}; {series.said}")
            if code > 0 and (series.said.count("\n") != 1 or not series.said.startswith("throughtime: ")):
                raise Lost(f"{way}: no sentence; {series.said}")
        else:
            if code := series.leg():
                raise Lost(f"at the end: exit code {code}; {series.said}")
        if different := same_as_whole(series, wholes[kind]):
            raise Lost(different)


def main():
    """Try runs until the time is over; print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0, help="Seed of the first run; the others follow.")
    given = parser.parse_args()
    until, server, counts, lost, tried = time.monotonic() + given.minutes * 60, Server(), Counter(), [], 0
    with tempfile.TemporaryDirectory() as place:
        wholes = {}
        for kind in KINDS:
            (Path(place) / kind).mkdir()
            wholes[kind] = whole_run(server, Path(place) / kind, kind)
        while time.monotonic() < until:
            seed = given.seed + tried
            tried += 1
            try:
                _try(server, seed, wholes, counts)
            except Lost as error:
                lost.append(seed)
                print(f"seed {seed} is lost: {error}", flush=True)
    server.close()
    for (kind, way), number in sorted(counts.items()):
        print(f"{kind:<7} {way:<21} {number:>5} ends")
    print(f"{tried} runs tried, ended {sum(counts.values())} times; {tried - len(lost)} survived, {len(lost)} lost")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
