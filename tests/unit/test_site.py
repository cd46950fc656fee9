"""The documentation's site is made of pages, code and results; ``make check`` builds it."""

from __future__ import annotations

import re
from pathlib import Path

import build_site
import pytest
from outside import DOCS

from nni_blockqnn import cli

pytestmark = pytest.mark.slow  # it loads all commands


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "static").mkdir()
    build_site.prepare(folder / "pages", folder / "static")
    return folder


def test_the_home_page_links_to_every_page(site: Path) -> None:
    parts = build_site.navigation((site / "pages/index.md").read_text())
    assert [*parts] == ["Start", "How to", "Reference", "Explanation", "Results"]
    placed = {f"{entry}.md" for entries in parts.values() for entry in entries}
    pages = {path.relative_to(site / "pages").as_posix() for path in site.rglob("*.md")}
    assert placed <= pages
    of_docs = {name for name in pages if "/" not in name}
    assert of_docs - placed == {"index.md"}
    assert len(of_docs) > len([*DOCS.glob("*.md")])


def test_every_command_has_its_options(site: Path) -> None:
    text = (site / "pages/commands.md").read_text()
    for command in cli.COMMANDS:
        assert f"\n## blockqnn {command.name}\n" in text
    top = text.partition("## blockqnn top")[2].partition("\n## ")[0]
    assert "| `--by {" in top  # an argument that is added late
    assert "blockqnn top AbCdEfGh --watch\n" in top  # its own example


def test_the_gallery_has_a_picture_of_each_block(site: Path) -> None:
    page = (site / "pages/gallery.md").read_text()
    named = re.findall(r'src="_static/gallery/([^"]+)"', page)
    assert len(named) == page.count("<figure>") > 20
    assert sorted(named) == sorted(path.name for path in (site / "static/gallery").iterdir())
    assert all("</svg>" in (site / "static/gallery" / name).read_text() for name in named)
    assert "residual, made by hand" in page


def test_code_that_a_page_links_to_is_shown(site: Path) -> None:
    assert "(examples/own_agent/evolution.py.md)" in (site / "pages/own_agent.md").read_text()
    shown = (site / "pages/examples/own_agent/evolution.py.md").read_text()
    assert "class Evolution(Agent):" in shown
    assert (site / "pages/examples/report/report.html").exists()  # a page of its own kind
