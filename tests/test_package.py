"""What `import throughtime` gives: public names, rooms, and the operators of saved graphs."""

import subprocess
import sys

import pytest
import torch

import throughtime as tt


def in_a_fresh_process(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An exported program, and its output on ones."""
    layer, x, path = tt.GRU(3, 5), torch.ones(7, 2, 3), tmp_path_factory.mktemp("exported") / "gru.pt2"
    torch.export.save(torch.export.export(layer, (x,)), path)
    return path, layer(x)[0].sum().item()


@pytest.mark.parametrize(
    "imports",
    [
        "import torch, throughtime",
        "import throughtime, torch",
        # Others look for torch without importing it.
        "import importlib.util, throughtime; importlib.util.find_spec('torch'); import torch",
        # Rooms that import torch, but neither layers nor the operators.
        "import throughtime.types, torch",
        "import throughtime.kernels, torch",
        # A room whose import failed half-way.
        "import sys; sys.modules['lightning'] = None\n"
        "try: import throughtime.runs.engine\nexcept ImportError: print('0')\nimport torch",
    ],
)
def test_an_exported_program_runs_wherever_both_are_imported(imports, exported):
    path, expected = exported
    script = f"{imports}\nprint(torch.export.load({str(path)!r}).module()(torch.ones(7, 2, 3))[0].sum().item())"
    assert float(in_a_fresh_process(script).split()[-1]) == expected


def test_torch_is_imported_as_ever():
    """Its loader is the usual one afterwards, and what asks for it in advance is answered."""
    script = (
        "import throughtime, importlib.util\n"
        "spec = importlib.util.find_spec('torch')\n"
        "assert spec.loader.is_package('torch') and spec.origin.endswith('__init__.py')\n"
        "import torch\n"
        "print(type(torch.__loader__).__name__, torch.__spec__.loader is torch.__loader__)"
    )
    assert in_a_fresh_process(script).split() == ["SourceFileLoader", "True"]


def test_the_package_alone_is_light_and_its_rooms_need_no_import():
    script = (
        "import sys, throughtime as tt\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)\n"
        "assert tt.kernels.describe()['threads'] and tt.training.GradientMonitor and tt.sequences.Sequence\n"
    )
    in_a_fresh_process(script)


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'throughtime' has no attribute 'LTSM'"):
        _ = tt.LTSM
    assert not hasattr(tt, "__wrapped__") and not hasattr(tt, "_private")


def test_what_a_refusal_raises_is_public():
    with pytest.raises(tt.ArgumentError, match="hidden_size is 0"):
        tt.GRU(3, 0)
    with pytest.raises(tt.UnsupportedError, match="learn_initial_state"):
        tt.GRU(3, 5, learn_initial_state=True).to_torch()
    for name in ("NonFiniteError", "WrongGradientError", "InputFileError", "RunFolderError"):
        assert issubclass(getattr(tt, name), tt.ThroughtimeError)
