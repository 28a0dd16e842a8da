"""Spell the library's arguments the way users of the command type them.

The library names arguments in backticks (`hidden_size`); where one is an option, the command says --hidden-size.
"""

import re
from collections.abc import Collection

from throughtime.errors import ArgumentError

GIVEN = "given_here"
"""Key of the names of the arguments that were given, among the arguments of a command."""

_POSITIONAL = {"file": "FILE", "run": "RUN", "run_or_data": "RUN or DATA"}
_MARKED = re.compile(r"`([a-z][a-z0-9_]*)`")


def typed(name: str) -> str:
    """Return an argument as typed: "--hidden-size" for hidden_size."""
    return _POSITIONAL.get(name, "--" + name.replace("_", "-"))


def spelled(text: str, arguments: Collection[str]) -> str:
    """Replace arguments in backticks by their typed form; other words keep their backticks."""
    return _MARKED.sub(lambda mark: typed(mark[1]) if mark[1] in arguments else mark[0], text)


def sentence_of(error: Exception, arguments: Collection[str]) -> str:
    """Return an error's message as a sentence, with arguments as typed."""
    if isinstance(error, ArgumentError) and error.argument in {*arguments, *_POSITIONAL}:
        message = error.of(typed(error.argument))
    else:
        message = str(error)
    said = spelled(message, arguments)
    return said if said.endswith((".", "!", "?")) else f"{said}."
