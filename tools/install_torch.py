"""Install the CPU build of torch that constraints.txt names, before pip resolves anything else.

On Linux the public package index has torch with CUDA: several gigabytes that nothing here uses. PyTorch's own index
has the CPU build, as the local version `X.Y.Z+cpu`. Run with the Python of the environment to install into.
"""

import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PATIENCE = ("--timeout", "20", "--retries", "1")
"""A network that never answers costs less than a minute (two tries of 20 s); a slow network is not given up at once."""


def pinned(constraints: str) -> str:
    """Return the version of torch that a constraints file pins."""
    found = re.search(r"^torch==([\w.]+)\s*$", constraints, re.MULTILINE)
    if found is None:
        raise SystemExit(f"{CONSTRAINTS} has no line of the form torch==X.Y.Z.")
    return found[1]


def installed() -> str:
    """Return the version of torch in this environment without its build's name (+cpu, +cu130); "" without torch."""
    try:
        return version("torch").partition("+")[0]
    except PackageNotFoundError:
        return ""


def pip(*words: str, quiet: bool = False) -> bool:
    """Run `pip install` in this environment; return whether it succeeded."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", *words]
    return subprocess.run(command, stderr=subprocess.DEVNULL if quiet else None).returncode == 0


def main() -> int:
    """Install torch where it is missing; return 0, or 1 when it could not be installed."""
    wanted = pinned(CONSTRAINTS.read_text("utf-8"))
    if installed() == wanted:
        return 0
    # Elsewhere (macOS, Windows) the public index has no CUDA build, and PyTorch's index may have no "+cpu".
    if platform.system() == "Linux":
        if pip("--index-url", CPU_INDEX, *PATIENCE, f"torch=={wanted}+cpu", quiet=True):
            return 0
        print(
            f"==> torch {wanted}+cpu cannot be had from {CPU_INDEX}: taking torch {wanted} from pip's own index, which "
            "may be the CUDA build of several gigabytes",
            flush=True,
        )
    return 0 if pip(f"torch=={wanted}") else 1


if __name__ == "__main__":
    raise SystemExit(main())
