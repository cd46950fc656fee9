"""Build the documentation as a site:  python docs/_site/build_site.py [FOLDER]

The pages in ``docs/`` are plain Markdown, which GitHub shows as it is. Here they are copied, with
what they link to outside of ``docs/``, and what is made from the code and its results is added.
Then Sphinx builds the copies. The home page, ``docs/README.md``, is the navigation. A link that
leads nowhere and a page to which the home page does not link are errors.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import commands_page
import gallery
import outside
from outside import DOCS, ROOT

SITE = Path(__file__).parent
_LINK = re.compile(r"\]\((?P<page>[^)#:\s]+)\.md(?:#[^)]*)?\)")


def main() -> int:
    from sphinx.cmd.build import main as sphinx

    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/site").resolve()
    work = folder.with_name(f"{folder.name}-source")
    shutil.rmtree(work, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    pages, static = work / "pages", work / "static"
    shutil.copytree(SITE / "static", static)
    prepare(pages, static)
    os.environ["NNI_BLOCKQNN_SITE_STATIC"] = str(static)
    options = ["-q", "--fail-on-warning", "--keep-going", "-d", str(work / "doctrees")]
    code = sphinx([*options, "-c", str(SITE), str(pages), str(folder)])
    if not code:
        print(f"wrote {folder / 'index.html'}")
    return code


def prepare(pages: Path, static: Path) -> None:
    """Write all that Sphinx reads."""
    for name, text in outside.pages(sorted(DOCS.glob("*.md"))):
        target = pages / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, Path):
            shutil.copy(text, target)
        else:
            target.write_text(_completed(name, text), encoding="utf-8")
    (pages / "commands.md").write_text(commands_page.page(), encoding="utf-8")
    gallery.draw(static / "gallery")


def navigation(index: str) -> dict[str, list[str]]:
    """What the home page links to, by its sections; each page stands where it is named first."""
    parts: dict[str, list[str]] = {"Start": []}
    seen: set[str] = set()
    for line in index.splitlines():
        if line.startswith("## "):
            own = parts.setdefault(line.removeprefix("## "), [])
            if line == "## Reference":
                own.append("commands")  # which is made here
            continue
        *_, entries = parts.values()
        for found in _LINK.finditer(line):
            if found["page"] not in seen:
                seen.add(found["page"])
                entries.append(found["page"])
    return {title: entries for title, entries in parts.items() if entries}


def _completed(name: str, text: str) -> str:
    """A page with what only the site has."""
    if name == "gallery.md":
        return gallery.with_cards(text)
    if name == "index.md":
        trees = "".join(_tree(title, entries) for title, entries in navigation(text).items())
        return f"{text}\n{trees}"
    if "/" in name:
        return f"---\norphan: true\n---\n\n{text}"  # the home page need not link to it
    return text


def _tree(title: str, entries: list[str]) -> str:
    return f"```{{toctree}}\n:caption: {title}\n:hidden:\n\n{chr(10).join(entries)}\n```\n"


if __name__ == "__main__":
    sys.exit(main())
