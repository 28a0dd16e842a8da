"""Entry point of the `throughtime` command.

It finds the sub-command, and turns errors into a sentence and an exit code.
"""

import importlib
import os
import pkgutil
import sys
from argparse import ArgumentError as UsageError
from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING

from throughtime import commands
from throughtime.commands._spelling import GIVEN, sentence_of
from throughtime.errors import ArgumentError, ThroughtimeError
from throughtime.runs.interruption import InterruptedRunError
from throughtime.wording import reason_of

if TYPE_CHECKING:
    from jsonargparse import Namespace

_FAILED, _WRONG_ARGUMENTS, _INTERRUPTED = 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command.

    Args:
        argv: the arguments after the program's name; None: the process's own.

    Returns:
        0; 1 when the command failed, with a sentence on stderr; 2 when the arguments are wrong; 130 after Ctrl-C
        and, of a training, also after SIGTERM and SIGHUP.
    """
    if sys.stdout is None:  # closed by whoever started the command: what is written goes nowhere
        sys.stdout = open(os.devnull, "w", encoding="utf-8")
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _fail("Interrupted.", _INTERRUPTED)
    except OSError as error:
        if error.filename is not None:  # such as a name that is too long for the system
            return _fail(f"{error.filename} cannot be used: {reason_of(error)}.", _FAILED)
        # Python must not try to flush at exit what cannot be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # whoever read the output (head, less) has gone: not worth a word
            return _FAILED
        return _fail(f"The output cannot be written ({reason_of(error)}).", _FAILED)


def _run(given: list[str]) -> int:
    try:
        import jsonargparse  # noqa: F401  (asked first, for the sentence below)
    except ImportError:
        return _fail("The command needs more than the library: pip install 'throughtime[train]'.", _FAILED)
    from throughtime.commands._parser import (
        PATHS,
        build_parser,
        config_first,
        one_sentence,
        settings_of_run,
        too_large,
        with_home,
    )

    modules = {name.replace("_", "-"): importlib.import_module(f"{commands.__name__}.{name}") for name in _names()}
    try:
        parser = build_parser(modules, settings_of_run(given))
        words = config_first(given or ["--help"])
        arguments = parser.parse_args(words)
        # Which of them were given, so that a task's own defaults can stand for those that were not.
        arguments[arguments.command][GIVEN] = set(parser.parse_args(words, defaults=False)[arguments.command].keys())
    except UsageError as error:
        return _fail(one_sentence(str(error)), _WRONG_ARGUMENTS)
    except OverflowError:  # from jsonargparse, for a whole number that no float can hold
        return _fail(too_large(given), _WRONG_ARGUMENTS)
    except ThroughtimeError as error:  # of the run that --resume names
        return _fail(sentence_of(error, ("resume",)), _FAILED)
    except SystemExit as end:  # --help and --version have printed
        return int(end.code or 0)
    # By default an OpenMP thread that waits keeps its core busy for milliseconds, which beside other load makes
    # training up to thirty times slower; not waiting at all costs a third of the speed on a quiet machine. The
    # variable is read when torch is loaded, which no module has done yet.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    chosen = arguments[arguments.command]
    for name in PATHS:
        if isinstance(chosen.get(name), str):
            chosen[name] = with_home(chosen[name])
    return _call(modules[arguments.command], chosen)


def _call(module: ModuleType, arguments: "Namespace") -> int:
    """Run a sub-command; print an error as a sentence that names arguments as typed."""
    try:
        return module.run(arguments)
    except ThroughtimeError as error:
        code = _WRONG_ARGUMENTS if isinstance(error, ArgumentError) else _FAILED
        code = _INTERRUPTED if isinstance(error, InterruptedRunError) else code
        return _fail(sentence_of(error, vars(arguments)), code)


def _names() -> list[str]:
    names = (entry.name for entry in pkgutil.iter_modules(commands.__path__))
    return sorted(name for name in names if name != "main" and not name.startswith("_"))


def _fail(sentence: str, code: int) -> int:
    with suppress(OSError):  # the terminal may be gone
        print(f"throughtime: {sentence}", file=sys.stderr, flush=True)
    return code
