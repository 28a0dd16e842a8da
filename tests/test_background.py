"""The tests mean the same in a shell's background, where Ctrl-C is ignored, as in its foreground."""

import signal
import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="shells of this system ignore no signals")
def test_a_process_that_a_test_starts_can_be_interrupted():
    program = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="shells of this system ignore no signals")
def test_conftest_sees_to_it_in_the_background_too(request):
    conftest = request.config.rootpath / "tests" / "conftest.py"
    program = (
        f"import runpy, signal; runpy.run_path({str(conftest)!r})\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    ignored = f"trap '' INT; {sys.executable} -c \"$0\""
    done = subprocess.run(["sh", "-c", ignored, program], capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
