"""Options and plots shared by all forms of `throughtime bench`."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from throughtime.commands._output_files import write_target
from throughtime.commands._terminal import say
from throughtime.errors import ArgumentError
from throughtime.wording import listed

if TYPE_CHECKING:
    from jsonargparse import Namespace

PLOT_KINDS = ("png", "svg", "pdf")


def choice(argument: str, text: str, allowed: list[str]) -> list[str]:
    """Return the names in a text, each once.

    Args:
        argument: the name of the argument that the text came with.
        text: names separated by commas.
        allowed: the names that may come.

    Raises:
        ArgumentError: a name is not allowed.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in allowed:
            raise ArgumentError(argument, f"has {name!r}", f"it must be a comma-separated choice of {listed(allowed)}")
    return list(dict.fromkeys(names))


def checked_targets(arguments: "Namespace") -> dict[str, Path | None]:
    """Check what all measurements have in common, and return the files to write.

    Raises:
        ArgumentError: a number of threads below 0, or a file that cannot be written.
    """
    if arguments.threads < 0:
        raise ArgumentError("threads", f"is {arguments.threads}", "it must be at least 1, or 0 for torch's choice")
    return {name: _target(name, getattr(arguments, name)) for name in ("json", "plot")}


def _target(argument: str, text: str) -> Path | None:
    """Return the path of an output file.

    A path that cannot be written is refused now rather than after an hour of measuring.
    """
    if not text:
        return None
    path = Path(text)
    if argument == "plot" and path.suffix.lower().removeprefix(".") not in PLOT_KINDS:
        kinds = listed((f".{kind}" for kind in PLOT_KINDS), "or")
        raise ArgumentError("plot", f"is {path}", f"the name must end in {kinds}")
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ArgumentError(argument, f"is {path}", "it must be a file in a folder that exists and can be written to")
    return path


@contextmanager
def chosen_instruction_set(name: str) -> Iterator[None]:
    """Use one instruction set in the kernels inside the block; "" for the present one."""
    from throughtime.kernels.native import describe, use_instruction_set

    before = describe().get("instruction_set")
    if name:
        use_instruction_set(name)
    try:
        yield
    finally:
        if name and before:
            use_instruction_set(str(before))


def can_plot() -> bool:
    """Return whether matplotlib is installed; print a sentence otherwise."""
    if find_spec("matplotlib") is None:
        say("No plot: matplotlib is not installed (pip install 'throughtime[report]').")
        return False
    return True


def write_plot(draw: Callable[[BinaryIO, str], None], path: Path) -> None:
    """Write a picture atomically.

    Args:
        draw: draws into a file, in a format such as "png".
        path: the file; its suffix says the format.

    Raises:
        ArgumentError: the file cannot be written.
    """
    picture = io.BytesIO()
    draw(picture, path.suffix.lower().removeprefix("."))
    write_target("plot", path, picture.getvalue())
