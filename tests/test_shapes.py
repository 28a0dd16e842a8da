"""The shapes in the annotations hold: the contracts run once more with every annotation checked at run time."""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent


def _run(*arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"THROUGHTIME_CHECK_SHAPES": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=HERE.parent, env=environment, capture_output=True, text=True, timeout=500)


def test_annotated_shapes_hold_over_the_contracts():
    contract = HERE / "contracts" / "test_gradient_methods.py"
    done = _run("-m", "pytest", "-x", "-k", "float64 or second", str(contract))
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


def test_the_check_would_notice_a_wrong_shape():
    script = (
        "import sys; sys.path.insert(0, 'tests'); import conftest, torch, jaxtyping\n"
        "from throughtime.sequences.direction import reversed_resets\n"
        "try: reversed_resets(torch.zeros(3, dtype=torch.bool), None)\n"
        "except jaxtyping.TypeCheckError: print('noticed')\n"
    )
    assert "noticed" in _run("-c", script).stdout
