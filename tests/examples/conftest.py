"""The scripts in examples/ as modules, to be run as a user would, but in this process."""

import importlib.util
import pathlib
import sys

import pytest
import torch

FOLDER = pathlib.Path(__file__).parents[2] / "examples"


@pytest.fixture
def script(monkeypatch):
    """Loads examples/NAME.py; the number of threads that it sets is forgotten afterwards."""
    threads = torch.get_num_threads()

    def load(name):
        spec = importlib.util.spec_from_file_location(f"examples_{name}", FOLDER / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    yield load
    torch.set_num_threads(threads)
