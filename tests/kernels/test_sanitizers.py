"""The compiled library under sanitizers, called from C: driver.c over shapes, options, threads, instruction sets.

It is built here from the same sources and, as far as CMakeLists.txt says them, with the same options as the library.
Its memory is that of the library where that is tried too, elsewhere exact.cpp's, which hides nothing.
"""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from fuzz.strategies import EXAMPLES

ROOT = Path(__file__).parents[2]
KERNELS = ROOT / "src" / "throughtime" / "kernels"
DRIVER = Path(__file__).with_name("driver.c")
EXACT = Path(__file__).with_name("exact.cpp")
CELLS = sorted(path.stem for path in KERNELS.glob("*.cpp") if path.stem not in ("library", "memory"))
"""Every C++ file beside the library's two, as CMakeLists.txt has it."""
MEMORY = ("-fsanitize=address", "-fno-omit-frame-pointer")
# Of the baseline alone: the other instruction sets are the same source, and this doubles a compilation's time.
ARITHMETIC = ("-fsanitize=undefined", "-fno-sanitize-recover=all")
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


def _at_once(commands: Iterable[tuple[object, ...]]) -> list[str]:
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(lambda command: _run(*command), commands))


def _need_sanitizer(flags: tuple[str, ...], folder: Path) -> None:
    """Skip, with the reason, where a program with this sanitizer cannot be built or does not start."""
    (folder / "empty.cpp").write_text("int main() { return 0; }\n")
    try:
        _run(_compiler("CXX", "c++", "g++", "clang++"), *flags, folder / "empty.cpp", "-o", folder / "empty")
        _run(folder / "empty")
    except AssertionError as error:
        pytest.skip(f"{flags[0]} does not work on this machine: {str(error)[-300:]}")


def _built(folder: Path, build: _Build, flags: tuple[str, ...], of_baseline: tuple[str, ...] = ()) -> Path:
    """The folder of "driver" and of "driver-exact", which has exact.cpp's memory."""
    cc, cxx = _compiler("CC", "cc", "gcc", "clang"), _compiler("CXX", "c++", "g++", "clang++")
    common = (*flags, "-Og", "-g1", f"-I{KERNELS}")
    more = {name: (*own, *of_baseline) if name == "baseline" else own for name, own in build.sets.items()}
    objects = {f"{cell}-{name}": (KERNELS / f"{cell}.cpp", *own) for cell in CELLS for name, own in more.items()}
    objects["library"] = (KERNELS / "library.cpp", *build.symbols, *of_baseline)
    memories = {"driver": (KERNELS / "memory.cpp", *of_baseline), "driver-exact": (EXACT,)}
    compilations = [
        (cxx, "-std=c++17", *common, *build.options, "-c", *source, "-o", folder / f"{name}.o")
        for name, source in (objects | {f"{name}-memory": source for name, source in memories.items()}).items()
    ]
    _at_once([*compilations, (cc, "-std=c11", *common, "-c", DRIVER, "-o", folder / "driver.o")])
    for name in memories:
        linked = [folder / f"{one}.o" for one in (*objects, f"{name}-memory", "driver")]
        _run(cxx, *flags, *of_baseline, *linked, "-pthread", "-lm", "-o", folder / name)
    return folder


def test_the_header_is_c_and_stands_alone(tmp_path):
    (tmp_path / "alone.c").write_text('#include "throughtime.h"\nint used = TT_BAD_ARGUMENT;\n')
    strict = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{KERNELS}", "-fsyntax-only")
    for source in (tmp_path / "alone.c", DRIVER):
        _run(_compiler("CC", "cc", "gcc", "clang"), *strict, source)


def test_no_entry_point_errs_in_memory_or_arithmetic(tmp_path):
    """AddressSanitizer, its leak check and UBSan: every entry point, shape and option.

    Every instruction set in `make sanitize`. In `make test` the baseline alone, as the others are the same source, and
    what only they could read is met by the unreadable pages of fuzz/test_guards.py.
    """
    _need_sanitizer((*MEMORY, *ARITHMETIC), tmp_path)
    build = _Build.read() if EXAMPLES else _Build.read().only_baseline()
    folder = _built(tmp_path, build, MEMORY, ARITHMETIC)
    ran = _at_once((folder / "driver-exact", "all", name) for name in build.sets)
    for name, printed in zip(build.sets, ran, strict=True):
        assert printed.split() in ([[name]] if name == "baseline" else [[name], []])  # not every machine runs them all
    assert _run(folder / "driver", "threads", "baseline").split() == ["baseline"]


@pytest.mark.skipif(not EXAMPLES, reason="a minute of building; `make sanitize` has it")
def test_threads_do_not_race(tmp_path):
    """ThreadSanitizer, on the shared rows, the shared units, the barrier between their steps, the memory kept."""
    _need_sanitizer(THREADS, tmp_path)
    folder = _built(tmp_path, _Build.read().only_baseline(), THREADS)
    assert _run(folder / "driver", "threads").split() == ["baseline"]
