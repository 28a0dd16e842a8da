"""The compiled library under sanitizers, called from C: driver.c over shapes, options, threads, instruction sets.

It is built here from the same sources and, as far as CMakeLists.txt says them, with the same options as the library.
"""

import os
import platform
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNELS = ROOT / "src" / "throughtime" / "kernels"
DRIVER = Path(__file__).with_name("driver.c")
CELLS = ("elman", "lstm", "gru")
MEMORY = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
THREADS = ("-fsanitize=thread",)
# Fresh memory is NaN, so that whatever the library reads before it has written it shows in the results.
POISONED = {
    "ASAN_OPTIONS": "detect_leaks=1:max_malloc_fill_size=268435456:malloc_fill_byte=255",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1",
}


@dataclass(frozen=True)
class _Build:
    """What CMakeLists.txt says of this machine: the options, each instruction set's own, and the library's symbols."""

    options: tuple[str, ...]
    sets: dict[str, tuple[str, ...]]
    symbols: tuple[str, ...]

    @classmethod
    def read(cls) -> "_Build":
        text = (ROOT / "CMakeLists.txt").read_text()
        options = re.search(r"^set\(options (.+)\)$", text, re.M)
        rows = re.findall(r"^ *add_instruction_set\((\w+) (\d+)(.*)\)$", text, re.M)
        symbols = re.findall(r"^ *target_compile_definitions\(throughtime PRIVATE (\w+)\)$", text, re.M)
        assert options is not None and rows, "CMakeLists.txt is written otherwise now: read it otherwise"
        if platform.machine().lower() not in ("x86_64", "amd64"):
            rows, symbols = [row for row in rows if row[0] == "baseline"], []
        sets = {name: (f"-DTT_ISA={name}", f"-DTT_VECTOR_BYTES={size}", *more.split()) for name, size, more in rows}
        return cls(tuple(options[1].split()), sets, tuple(f"-D{symbol}" for symbol in symbols))

    def only_baseline(self) -> "_Build":
        return _Build(self.options, {"baseline": self.sets["baseline"]}, ())


def _compiler(variable: str, *names: str) -> str:
    wanted = os.environ.get(variable, "")
    found = next((path for path in map(shutil.which, (wanted, *names)) if path), None)
    if found is None:
        pytest.skip(f"no compiler here: none of {', '.join(names)}, and {variable} names none")
    return found


def _run(*command: object, limit: int = 200) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=limit,
        env={**os.environ, **POISONED},
    )
    assert done.returncode == 0, f"{command[0]} … {command[-1]}: status {done.returncode}\n{done.stdout[-6000:]}"
    return done.stdout


def _need_sanitizer(flags: tuple[str, ...], folder: Path) -> None:
    """Skip, with the reason, where a program with this sanitizer cannot be built or does not start."""
    (folder / "empty.cpp").write_text("int main() { return 0; }\n")
    try:
        _run(_compiler("CXX", "c++", "g++", "clang++"), *flags, folder / "empty.cpp", "-o", folder / "empty")
        _run(folder / "empty")
    except AssertionError as error:
        pytest.skip(f"{flags[0]} does not work on this machine: {str(error)[-300:]}")


def _built(folder: Path, flags: tuple[str, ...], build: _Build) -> Path:
    cc, cxx = _compiler("CC", "cc", "gcc", "clang"), _compiler("CXX", "c++", "g++", "clang++")
    common = (*flags, "-Og", "-g1")
    compilations = [(cc, "-std=c11", *common, f"-I{KERNELS}", "-c", DRIVER, "-o", folder / "driver.o")]
    sources = [(cell, f"{cell}-{name}", own) for cell in CELLS for name, own in reversed(build.sets.items())]
    for source, name, own in (*sources, ("library", "library", build.symbols)):
        names = ("-c", KERNELS / f"{source}.cpp", "-o", folder / f"{name}.o")
        compilations.append((cxx, "-std=c++17", *common, *build.options, *own, *names))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda command: _run(*command), compilations))
    _run(cxx, *flags, *sorted(folder.glob("*.o")), "-pthread", "-lm", "-o", folder / "driver")
    return folder / "driver"


def test_the_header_is_c_and_stands_alone(tmp_path):
    (tmp_path / "alone.c").write_text('#include "throughtime.h"\nint used = TT_BAD_ARGUMENT;\n')
    strict = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{KERNELS}", "-fsyntax-only")
    for source in (tmp_path / "alone.c", DRIVER):
        _run(_compiler("CC", "cc", "gcc", "clang"), *strict, source)


def test_no_entry_point_errs_in_memory_or_arithmetic(tmp_path):
    """AddressSanitizer, its leak check and UBSan: every entry point, shape, option and instruction set."""
    _need_sanitizer(MEMORY, tmp_path)
    build = _Build.read()
    ran = _run(_built(tmp_path, MEMORY, build), "all").split()
    assert "baseline" in ran and set(ran) <= set(build.sets)


def test_threads_do_not_race(tmp_path):
    """ThreadSanitizer, on the shared rows, the shared units and the barrier between their steps."""
    _need_sanitizer(THREADS, tmp_path)
    assert _run(_built(tmp_path, THREADS, _Build.read().only_baseline()), "threads").split() == ["baseline"]
