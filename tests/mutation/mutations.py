"""Every way in which a file of a run folder is spoiled here: wrong values, cuts, noise, no file, a folder."""

import copy
import csv
import io
import json
import math
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import yaml

CUTS = 64
ABSENT = object()
"""Value that stands for the removal of a field."""

_NEST: Any = []
for _ in range(60):
    _NEST = [_NEST]

WRONG = {
    "absent": ABSENT, "null": None, "true": True, "-1": -1, "0": 0, "below 64 bits": -(2**64), "huge": 10**30,
    "2.5": 2.5, "1e308": 1e308, "nan": math.nan, "inf": math.inf, "empty": "", "word": "x", "number": "7", "list": [],
    "NUL": "a\0b", "unicode": "ü\u2028\ud800", "dictionary": {}, "pair": [1, 2], "nest": _NEST, "past": 10**6,
}  # fmt: skip
"""Wrong values by name; some of them are right in some fields."""

TENSORS = {
    "absent": ABSENT, "null": None, "word": "x", "number": 3, "list": [1.0],
    "nan": lambda tensor: torch.full_like(tensor, math.nan) if tensor.is_floating_point() else tensor - 1,
    "inf": lambda tensor: torch.full_like(tensor, math.inf) if tensor.is_floating_point() else tensor + 1000,
    "negative": lambda tensor: -torch.ones_like(tensor) if tensor.is_floating_point() else ~tensor,
    "flat": lambda tensor: tensor.flatten()[:1].clone(), "more": lambda tensor: tensor[None].clone(),
    "double": lambda tensor: tensor.double(), "whole": lambda tensor: tensor.long() + 1,
    "complex": lambda tensor: tensor.to(torch.complex64), "none": lambda tensor: tensor.new_zeros(0),
    "huge": lambda tensor: tensor.flatten()[:1].clone().expand(2**40),
    "wide": lambda tensor: tensor.flatten()[:1].clone().expand(tensor.shape) if tensor.dim() else tensor + 1,
    "sparse": lambda tensor: tensor.to_sparse() if tensor.dim() else tensor[None].to_sparse(),
    "meta": lambda tensor: tensor.to("meta"),
}  # fmt: skip
"""Wrong tensors by name, made from the right one."""


@dataclass(frozen=True)
class Mutation:
    """One change of one file: of the field at `path`, or of its bytes."""

    file: str
    kind: str
    path: tuple = ()
    cut: int = 0

    def __str__(self) -> str:
        place = "".join(f"[{part!r}]" for part in self.path)
        return f"{self.file}{place} {self.kind}{f' {self.cut}' if self.kind == 'cut' else ''}"

    def apply(self, folder: Path) -> None:
        """Spoil the file in a folder."""
        path = folder / self.file
        content = path.read_bytes()
        match self.kind:
            case "cut":
                path.write_bytes(content[: len(content) * self.cut // CUTS])
            case "removed":
                path.unlink()
            case "folder":
                path.unlink()
                path.mkdir()
            case "noise":
                path.write_bytes(random.Random(self.cut).randbytes(len(content)))
            case "spots":
                spoiled = bytearray(content)
                chance = random.Random(self.cut)
                for _ in range(5):
                    spoiled[chance.randrange(len(content))] = chance.randrange(256)
                path.write_bytes(bytes(spoiled))
            case "doubled":
                path.write_bytes(content * 2)
            case _:
                path.write_bytes(written(self.file, self._changed(read(self.file, content))))

    def _changed(self, values: Any) -> Any:
        if not self.path:
            return WRONG[self.kind]
        *way, last = self.path
        inner = values
        for part in way:
            inner = inner[part]
        if self.kind == "renamed":
            inner[f"{last}_"] = inner.pop(last)
            return values
        wrong = (TENSORS if isinstance(inner[last], torch.Tensor) else WRONG)[self.kind]
        if wrong is ABSENT:
            del inner[last]
        else:
            inner[last] = wrong(inner[last]) if callable(wrong) else copy.deepcopy(wrong)
        return values


def read(file, content):
    """The content of a file as dictionaries and lists."""
    if file.endswith(".json"):
        return json.loads(content)
    if file.endswith(".yaml"):
        return yaml.safe_load(content)
    if file.endswith(".csv"):
        return [list(row) for row in csv.reader(io.StringIO(content.decode(), newline=""))]
    if file.endswith(".safetensors"):
        return safetensors.torch.load(content)
    return as_lists(torch.load(io.BytesIO(content), weights_only=True))


def written(file, values):
    """The bytes of a file with this content."""
    if file.endswith(".json"):
        return json.dumps(values).encode()
    if file.endswith(".yaml"):
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=False).encode()
    if file.endswith(".csv"):
        text = io.StringIO(newline="")
        rows = values if isinstance(values, list) else [[values]]
        csv.writer(text, lineterminator="\n").writerows(row if isinstance(row, list) else [row] for row in rows)
        return text.getvalue().encode("utf-8", "surrogatepass")
    if file.endswith(".safetensors"):
        return safetensors.torch.save({name: value.contiguous() for name, value in values.items()})
    content = io.BytesIO()
    torch.save(values, content)
    return content.getvalue()


def as_lists(values):
    """The same with lists for tuples, so that members can be replaced."""
    if isinstance(values, dict):
        return {name: as_lists(value) for name, value in values.items()}
    return [as_lists(value) for value in values] if isinstance(values, list | tuple) else values


def fields_of(values, path=()):
    """The paths of all fields: of a long list the first two and the last, as the others are like them."""
    if path:
        yield path
    if isinstance(values, dict):
        parts = list(values)
    elif isinstance(values, list):
        parts = sorted({0, 1, len(values) - 1} & set(range(len(values)))) if len(values) > 3 else range(len(values))
    else:
        return
    for part in parts:
        yield from fields_of(values[part], (*path, part))


def of_file(path):
    """Every mutation of a file."""
    content = path.read_bytes()
    values = read(path.name, content)
    found = [Mutation(path.name, "cut", cut=cut) for cut in range(CUTS)]
    found += [Mutation(path.name, kind) for kind in ("removed", "folder", "doubled")]
    found += [Mutation(path.name, kind, cut=seed) for kind in ("noise", "spots") for seed in range(8)]
    if path.suffix != ".safetensors":
        found += [Mutation(path.name, kind) for kind in WRONG if kind not in ("absent", "renamed")]
    for field in fields_of(values):
        inner = values
        for part in field:
            inner = inner[part]
        kinds = [*(TENSORS if isinstance(inner, torch.Tensor) else WRONG)]
        if path.suffix == ".safetensors":
            kinds = ["absent", *(kind for kind, wrong in TENSORS.items() if callable(wrong) and kind not in _UNSAVED)]
        kinds += ["renamed"] if isinstance(field[-1], str) else []
        found += [Mutation(path.name, kind, field) for kind in kinds if _saved(path.name, kind)]
    return found


_UNSAVED = ("huge", "sparse", "meta")
"""Tensors that a file of weights cannot hold."""


def _saved(name, kind):
    """Whether the format of a file can hold a value."""
    return not (name.endswith(".yaml") and kind == "nest")


def spoiled(mutation, folder, place):
    """A copy of a run folder with one mutation; the folder in `place` is replaced."""
    shutil.rmtree(place, ignore_errors=True)
    target = Path(shutil.copytree(folder, place / folder.name))
    mutation.apply(target)
    return target
