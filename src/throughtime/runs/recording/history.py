"""Rows of updates.csv and step_norms.csv, kept in bounded memory."""

import math
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from throughtime.checks import check_size
from throughtime.records import STEP_NORMS, UPDATES, StepNormRow, UpdateRow, write_table
from throughtime.report.exhibit import picked_places
from throughtime.sequences.tap import LayerTap
from throughtime.updates.step_norms import root_mean_squares

LONGEST = 4096
"""Largest number of rows of updates.csv.

Where more are due, every second row is dropped, and from then on every second update noted. Updates with a non-finite
gradient always keep their row.
"""

SNAPSHOTS = 60
"""Number of updates in step_norms.csv: the first, then evenly over the run."""

MOST_STEPS = 128
"""Largest number of steps of a snapshot; longer chunks are sampled evenly."""


class Snapshot(NamedTuple):
    """Norms of ∂L/∂s_t of a layer at some steps, as root mean squares over rows."""

    update: int
    layer: str
    steps: list[int]
    norms: list[float]


class History:
    """Rows of a run's updates, and snapshots of norms by step.

    Args:
        total_updates: of the whole run, by which the snapshots are spread.
    """

    def __init__(self, total_updates: int) -> None:
        check_size("total_updates", total_updates, 0)
        self.updates: list[UpdateRow] = []
        self.snapshots: list[Snapshot] = []
        self._between = max(1, -(-total_updates // SNAPSHOTS))
        self._every = 1

    def note(self, row: UpdateRow) -> None:
        """Add a row for an update, unless only every k-th update is noted."""
        while (row.update - 1) // self._every >= LONGEST:
            self._every *= 2
            self.updates = [row for row in self.updates if self._has_turn(row)]
        if self._has_turn(row):
            self.updates.append(row)

    def _has_turn(self, row: UpdateRow) -> bool:
        return (row.update - 1) % self._every == 0 or not math.isfinite(row.gradient_norm)

    def wants(self, update: int) -> bool:
        """Return whether a snapshot is due at this update, counted from 1."""
        return (update - 1) % self._between == 0

    def take(self, update: int, layers: dict[str, LayerTap], first: int) -> None:
        """Remember the norms by step of every layer, from step `first` on."""
        for name, layer in layers.items():
            norms = root_mean_squares(layer)[first:].tolist()
            steps = picked_places(len(norms), MOST_STEPS)
            self.snapshots.append(Snapshot(update, name, steps, [norms[step] for step in steps]))

    def snapshots_at(self, update: int) -> list[Snapshot]:
        """Return the snapshots of this update."""
        return [snapshot for snapshot in self.snapshots if snapshot.update == update]

    def write(self, folder: Path) -> None:
        """Write `updates.csv`, and `step_norms.csv` if snapshots were taken."""
        write_table(folder / UPDATES, UpdateRow, self.updates)
        if self.snapshots:
            rows = (
                StepNormRow(snapshot.update, snapshot.layer, step, norm)
                for snapshot in self.snapshots
                for step, norm in zip(snapshot.steps, snapshot.norms, strict=True)
            )
            write_table(folder / STEP_NORMS, StepNormRow, rows)

    def state_dict(self) -> dict[str, Any]:
        """Return plain values for the checkpoint, the updates by columns."""
        columns = {entry.name: [getattr(row, entry.name) for row in self.updates] for entry in fields(UpdateRow)}
        return {"every": self._every, "updates": columns, "snapshots": [tuple(snapshot) for snapshot in self.snapshots]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self._every = state["every"]
        self.updates = [UpdateRow(*values) for values in zip(*state["updates"].values(), strict=True)]
        self.snapshots = [Snapshot(*values) for values in state["snapshots"]]
