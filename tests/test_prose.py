"""Docstrings begin with a short plain sentence, and identifiers say what they hold."""

import ast
import pathlib
import re
from collections.abc import Iterator

import pytest

import throughtime

ROOT = pathlib.Path(throughtime.__file__).parent
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
TREES = {path: ast.parse((ROOT / path).read_text()) for path in MODULES}

LONGEST = 15
"""Words of a first sentence."""

PRONOUNS = {"It", "This", "These", "They", "One", "What", "That", "Which"}
VAGUE = {"one", "own", "found", "there"}


def first_sentence(docstring: str) -> str:
    """Everything up to a full stop that ends a word, or up to the end of the first paragraph."""
    paragraph = re.split(r"\n\s*\n", docstring.strip())[0]
    return re.split(r"(?<=[.?!])\s", paragraph)[0]


def words_of(sentence: str) -> list[str]:
    """The words of a sentence; signs between them, such as = and ·, are none."""
    return [word for word in sentence.split() if re.search(r"\w", word)]


def fault_of(docstring: str) -> str | None:
    """What is wrong with the first sentence of a docstring."""
    sentence = first_sentence(docstring)
    words = words_of(sentence)
    if not words:
        return "no words"
    if len(words) > LONGEST:
        return f"{len(words)} words: {sentence}"
    if words[0] in PRONOUNS:
        return f"a pronoun without its noun: {sentence}"
    return None if sentence[0].isupper() else f"no capital letter: {sentence}"


def documented(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The public functions, classes and methods with their docstrings; what stands within a function is private."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            docstring = ast.get_docstring(node)
            if docstring is not None:
                yield prefix + node.name, docstring
            if isinstance(node, ast.ClassDef):
                yield from documented(node, f"{prefix}{node.name}.")


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every name that a module gives or uses, with its line."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        for field in ("id", "attr", "arg", "name", "asname", "rest"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                yield line, name


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_says_in_a_short_sentence_what_it_is(path):
    docstring = ast.get_docstring(TREES[path])
    assert docstring is not None
    assert fault_of(docstring) is None


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_the_first_sentence_of_a_docstring_is_short_and_plain(path):
    faults = {name: fault_of(docstring) for name, docstring in documented(TREES[path])}
    assert {name: fault for name, fault in faults.items() if fault} == {}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_identifiers_say_what_they_hold(path):
    assert [(line, name) for line, name in identifiers(TREES[path]) if name in VAGUE] == []


@pytest.mark.parametrize(
    ("docstring", "fault"),
    [
        ("Run over time.", None),
        ("Run over time.\n\nLong explanations may follow: " + "word " * 20, None),
        ("The steps t = 1 … T. " + "word " * 20, None),
        ("word", "no capital letter: word"),
        ("`x`, the inputs.", "no capital letter: `x`, the inputs."),
        ("What is kept.", "a pronoun without its noun: What is kept."),
        ("Word " * 16, f"16 words: {('Word ' * 16).strip()}"),
    ],
)
def test_a_fault_is_seen(docstring, fault):
    assert fault_of(docstring) == fault


def test_every_kind_of_identifier_is_seen():
    source = "def own(one): there.found = 1\nfor one in []: f(own=2)\nimport there as found\nclass one: pass"
    kinds = [name for _, name in sorted(identifiers(ast.parse(source))) if name in VAGUE]
    assert sorted(kinds) == sorted(["own", "one", "there", "found", "one", "own", "there", "found", "one"])
