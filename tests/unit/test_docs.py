"""The examples in the documentation are run, and its links lead somewhere."""

from __future__ import annotations

import doctest
import importlib
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md"), ROOT / "examples/README.md"])
PACKAGE = ROOT / "nni_blockqnn"
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]
"""Those with examples in their docstrings."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_in_a_page(page: Path) -> None:
    failures, _ = doctest.testfile(str(page), module_relative=False)
    assert failures == 0


@pytest.mark.parametrize("name", ["README.md", "docs/own_layer.md", "docs/own_agent.md"])
def test_python_in_a_page_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one program, whose modules lie in the folder of the page's example."""
    monkeypatch.syspath_prepend(ROOT / "examples" / Path(name).stem)
    blocks = re.findall(r"^( *)```python\n(.*?)```", (ROOT / name).read_text(), re.M | re.S)
    assert blocks
    names: dict[str, object] = {}
    for _, block in blocks:
        exec(compile(textwrap.dedent(block), name, "exec"), names)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_a_module(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)|src=\"([^\":]+)\"", page.read_text())
    for target in (link or image for link, image in targets):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
