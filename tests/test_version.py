"""The version is one string, in src/throughtime/__init__.py: the package's metadata and the command take it from it."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import throughtime as tt
from throughtime.commands.main import main

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_build_reads_the_version_from_the_package():
    assert "version" not in PROJECT["project"] and PROJECT["project"]["dynamic"] == ["version"]
    source = PROJECT["tool"]["scikit-build"]["metadata"]["version"]
    assert source["provider"] == "scikit_build_core.metadata.regex"
    text = (ROOT / source["input"]).read_text()
    assert re.findall(r'^__version__ = "(.*)"$', text, re.MULTILINE) == [tt.__version__]


def test_what_is_installed_has_this_version():
    try:
        installed = metadata.version("throughtime")
    except metadata.PackageNotFoundError:
        pytest.skip("run from a source tree that is not installed")
    assert installed == tt.__version__, "installed before the version changed: run `make test`, which installs anew"


def test_the_command_tells_it(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.split()[-1] == tt.__version__


def test_it_stands_nowhere_else():
    """A second string would be forgotten at the next release."""
    for name in ("CITATION.cff", "Makefile", "CMakeLists.txt", "README.md", "CONTRIBUTING.md", "SECURITY.md"):
        assert tt.__version__ not in (ROOT / name).read_text(), name
