"""Random command lines over all sub-commands and options that the parser knows."""

import importlib
import pkgutil
import random
from argparse import SUPPRESS

from throughtime import commands
from throughtime.commands._parser import build_parser

NUMBERS = ("0", "1", "2", "3", "-1", "1e3", "2.5", "1_0", "0x10", "nan", "inf", "-inf", "1e308", "-0", "", "x", "٣",
           str(2**31), str(2**63), str(10**400), "1e-320", "[1]", "null", "true")  # fmt: skip
TEXTS = ("", "x", "tanh", "no such", "a,b", "ü\udcff", "~", "~nobody/x", "null", "{", "- 1", "\n", "1", "--", "-x",
         "%s", "256MB", "1kB", "-1GB", "lstm,gru", "1x2x3", "utf-16", "latin-1", "hex", "x" * 300)  # fmt: skip
SHORT = {
    "epochs": ("1", "2"), "hidden_size": ("1", "3"), "num_layers": ("1", "2"), "embedding_size": ("2",),
    "threads": ("1", "2"), "length": ("0", "3"), "steps": ("1", "5"), "rows": ("1", "2"), "repeat": ("1",),
    "batch_size": ("1", "2"), "update_every": ("3", "7"), "learning_rate": ("0.01", "1e29"), "max_minutes": ("1e-3",),
    "validate_every": ("5",), "burn_in": ("2",), "horizon": ("2", "5"), "order": ("1", "2"), "segments": ("2",),
}  # fmt: skip
"""Values by which a command ends soon; other numbers that an option allows may make it long."""

LIMITS = ("--threads", "1", "--max-minutes", "0.002", "--hidden-size", "3", "--num-layers", "1")
"""What ends a training soon whatever else was drawn."""


def parsers():
    """The parser of each sub-command, by name."""
    names = [entry.name for entry in pkgutil.iter_modules(commands.__path__)]
    modules = {
        name: importlib.import_module(f"throughtime.commands.{name}")
        for name in names
        if not name.startswith("_") and name != "main"
    }
    (choice,) = (action for action in build_parser(modules)._actions if action.dest == "command")
    return choice.choices


class Drawing:
    """Draws command lines.

    Args:
        base: the folder with the texts and runs of `mutation.folders`.
        place: a folder for what the commands write.
    """

    def __init__(self, base, place):
        self._parsers = parsers()
        names = ("text.txt", "stream.txt", "offline", "online", "absent", "marked.txt", "offline/config.yaml")
        self._paths = [base / name for name in names] + [place, place / "new", place / "no" / "folder"]
        self._paths += ["pydoc", "-", "", ".", "/dev/null", "~", "s3:", "a::b", "http", "x" * 300, "ü\udcff.txt"]

    def words(self, seed):
        """A command line; the same seed gives the same."""
        chance = random.Random(seed)
        name = chance.choice(["train"] * 4 + list(self._parsers))
        actions = [action for action in self._parsers[name]._actions if action.dest not in ("help", SUPPRESS)]
        words = [name]
        for action in actions:
            if action.option_strings:
                continue
            if chance.random() < 0.95:
                words.append(str(chance.choice(self._paths[:4] if chance.random() < 0.7 else self._paths)))
        options = [action for action in actions if action.option_strings and "print_config" not in action.dest]
        for action in chance.sample(options, min(len(options), chance.choice((0, 1, 1, 2, 2, 3, 5, 8)))):
            words += self._option(action, chance)
        if name == "train":
            words += self._limits(words, chance)
        return words

    def _option(self, action, chance):
        spelling = chance.choice(action.option_strings)
        if action.nargs == 0 or "YesNo" in type(action).__name__:
            return [spelling]
        value = self._value(action, chance)
        return [f"{spelling}={value}"] if chance.random() < 0.3 else [spelling, value]

    def _value(self, action, chance):
        hint = str(getattr(action, "_typehint", None) or action.type)
        if action.dest in ("config", "output", "resume", "data", "json", "plot"):
            return str(chance.choice(self._paths))
        if action.dest in SHORT and chance.random() < 0.7:
            return chance.choice(SHORT[action.dest])
        if "Literal" in hint and chance.random() < 0.8:
            return chance.choice(action._typehint.__args__)
        if "int" in hint or "float" in hint:
            return chance.choice(NUMBERS)
        return str(chance.choice(TEXTS if chance.random() < 0.8 else self._paths))

    def _limits(self, words, chance):
        """Options that end a training soon, in place of those that were drawn well and would make it long."""
        text = " ".join(words)
        kept = [(name, value) for name, value in zip(LIMITS[::2], LIMITS[1::2], strict=True) if name not in text]
        if "--max-minutes" in text and "--max-minutes 1e-3" not in text and chance.random() < 0.8:
            kept.append(("--max-minutes", "0.002"))
        if "--follow" in text:
            kept.append(("--max-minutes", "0.002"))
        return [word for pair in kept for word in pair]
