"""Parser of all sub-commands.

It needs jsonargparse, so it is imported only once jsonargparse is known to be installed.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from throughtime import __version__
from throughtime.commands._spelling import typed
from throughtime.records import read_record
from throughtime.records.ranges import shown
from throughtime.runs.config import read_config

_ABOUT = "Train recurrent networks, and look at how their gradients flow through time."
_WRONG_VALUE = re.compile(r'Parser key "(?P<key>\w+)":\s+Expected an? (?P<kind>.*?)\. Got value: (?P<value>.*)', re.S)
_WRONG_OPTIONAL = re.compile(
    r'Parser key "(?P<key>\w+)":\s+Does not validate .*?Subtypes: \[(?P<kind>.*), <class \'NoneType\'>\].*'
    r"Given value: (?P<value>.*)",
    re.S,
)
_KEY = re.compile(r'Parser key "(\w+)":')
_CHOICE = re.compile(r"argument (?P<name>\S+): invalid choice: '(?P<value>.*)' \(choose from (?P<allowed>.*)\)", re.S)
_UNKNOWN = re.compile(r"unrecognized arguments: (?P<words>.*)", re.S)
_MISSING = re.compile(r"the following arguments are required: (?P<names>.*)", re.S)
PATHS = ("file", "run", "run_or_data", "data", "output", "future", "resume", "start_from", "json", "plot", "train")
"""Arguments that are paths, of all sub-commands; --config is read before the others."""
_KINDS = {"<class 'int'>": "a whole number", "<class 'float'>": "a number", "<class 'str'>": "text"}


class _PlainHelp(DefaultHelpFormatter):
    """Formatter that shows the help text without types and empty defaults."""

    def _get_help_string(self, action):  # pyright: ignore[reportMissingParameterType]
        return action.help or ""


def build_parser(modules: Mapping[str, ModuleType], resumed: Mapping[str, Any] | None = None) -> ArgumentParser:
    """Build the parser of `throughtime`, with a sub-command for each module.

    Args:
        modules: by sub-command.
        resumed: the settings of the run given with --resume, which stand for the defaults of `train`.
    """
    parser = ArgumentParser(
        prog="throughtime", description=_ABOUT, version=__version__, exit_on_error=False, formatter_class=_PlainHelp
    )
    subcommands = parser.add_subcommands(dest="command", required=True)
    for name, module in modules.items():
        subparser = ArgumentParser(description=module.HELP, exit_on_error=False, print_config=None)
        module.add_arguments(subparser)
        if resumed and name == "train":
            subparser.set_defaults(dict(resumed))
        subcommands.add_subcommand(name, subparser, help=module.HELP)
    return parser


def with_home(path: str) -> str:
    """Return a path with the home folder in place of "~".

    A shell leaves it alone in --config=~/x, and in what config.yaml says.
    """
    return os.path.expanduser(path)


def config_first(given: list[str]) -> list[str]:
    """Move every --config right after the sub-command, so that options override it.

    jsonargparse lets the last value win, so that a --config at the end would undo the options before it.
    """
    front: list[str] = []
    rest: list[str] = []
    words = iter(given)
    for word in words:
        if word.startswith("--config="):
            front.append(f"--config={with_home(word.removeprefix('--config='))}")
        elif word == "--config" and (value := next(words, None)) is not None:
            front += [word, with_home(value)]
        else:
            rest.append(word)
    return [*rest[:1], *front, *rest[1:]]


def one_sentence(message: str) -> str:
    """Turn a message of jsonargparse into a sentence that names the option as typed."""
    text = message.strip()
    if wrong := _WRONG_VALUE.fullmatch(text) or _WRONG_OPTIONAL.fullmatch(text):
        kind = _KINDS.get(wrong["kind"], wrong["kind"])
        if kind.startswith("typing.Literal["):
            kind = "one of " + kind.removeprefix("typing.Literal[").removesuffix("]").replace("'", "")
        return f"--{wrong['key'].replace('_', '-')} is {wrong['value']}; it must be {kind}."
    if missing := _MISSING.fullmatch(text):
        names = [typed(name.rpartition(".")[2]) for name in missing["names"].split(", ")]
        return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} missing; --help lists the arguments."
    if chosen := _CHOICE.fullmatch(text):
        name = "COMMAND" if chosen["name"] == "command" else chosen["name"]
        return f"{name} is {chosen['value']}; it must be one of {chosen['allowed'].replace(chr(39), '')}."
    if unknown := _UNKNOWN.fullmatch(text):
        return f"{unknown['words']} is not known here; --help lists the options."
    text = _KEY.sub(lambda key: f"--{key[1].replace('_', '-')}:", text)
    return " ".join(text.split()).rstrip(".") + "; --help lists the options."


def too_large(words: list[str]) -> str:
    """Return a sentence on a number that is too large for any option."""
    word = max(words, key=lambda word: sum(map(str.isdigit, word)))
    return f"{shown(word)} holds a number that is too large; give one below 1e308."


def settings_of_run(words: list[str]) -> dict[str, Any]:
    """Return the settings of the run given with --resume, by option name; none without it.

    They are not handed on as --config, because jsonargparse reads a file in another way than `read_config`, and its
    errors name no file.

    Raises:
        RunFolderError: the folder is no run, or its record or settings are damaged.
    """
    for word, following in zip(words, [*words[1:], ""], strict=False):
        folder = following if word == "--resume" else word.removeprefix("--resume=") if "=" in word else ""
        if word.startswith("--resume") and folder:
            run = Path(with_home(folder))
            read_record(run)
            return read_config(run).flat()
    return {}
