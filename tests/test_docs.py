"""Every Python block of the README and of the docs runs, in order, page by page; every docstring's example holds."""

import doctest
import importlib
import pathlib
import pkgutil
import re

import pytest
import torch

import throughtime as tt
from throughtime.kernels import native

OF_THE_KERNELS = {"throughtime.gradients.checkpointed"}
"""Modules with an example whose figures are what the compiled kernels keep in memory; the loop keeps more."""

ROOT = pathlib.Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(page.read_text())], ids=lambda page: page.name)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "documentation"}
    text = page.read_text()
    for block in BLOCK.finditer(text):
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block.group(1), str(page), "exec"), namespace)


def test_the_readme_shows_running_code_before_line_30():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert lines.index("```python") < 30


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def _modules_with_examples() -> list[str]:
    found = []
    for module in pkgutil.walk_packages(tt.__path__, "throughtime."):
        path = pathlib.Path(module.module_finder.path, *module.name.split(".")[-1:]).with_suffix(".py")  # type: ignore[union-attr]
        if path.exists() and ">>> " in path.read_text():
            found.append(module.name)
    return found


@pytest.mark.parametrize("name", _modules_with_examples())
def test_docstring_examples_hold(name):
    if name in OF_THE_KERNELS and native.library() is None:
        pytest.skip("the compiled kernels are not installed")
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs={"torch": torch, "tt": tt})
    assert result.attempted > 0 and result.failed == 0
