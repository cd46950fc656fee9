"""The pages, with all that they link to outside of ``docs/``.

On GitHub, ``../examples/own_agent/evolution.py`` is a link like any other; a site knows its pages
alone. So Markdown is taken over as it is, code becomes a page that shows it, a folder a page of its
files, and anything else (a report, a picture) is copied.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_RENAMED = {"README.md": "index.md", "search.md": "the_search.md"}
"""Pages whose names have another meaning in a site: its own search is search.html."""
_LANGUAGES = {".py": "python", ".yml": "yaml", ".json": "json", ".jsonl": "json", ".toml": "toml"}
"""Of the files that a page shows."""
_LARGEST_SHOWN = 100_000
"""Bytes."""
_LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)#:\s]+)(?P<after>(?:#[^)]*)?\))")


def pages(first: Iterable[Path]) -> Iterator[tuple[str, str | Path]]:
    """The first pages and what they and theirs link to.

    Yields:
        where each stands in the site ("examples/own_trial/index.md"), and its text, or the file
        that is to be copied.
    """
    waiting, seen = list(first), set(first)
    while waiting:
        source = waiting.pop()
        if source.suffix == ".md":
            text, linked = _with_links(source)
            yield _place(source), text
        else:
            yield _place(source), _shown(source) if _is_shown(source) else source
            linked = []
        new = [path for path in linked if path not in seen]
        waiting += new
        seen.update(new)


def _with_links(page: Path) -> tuple[str, list[Path]]:
    """A page whose links lead to places in the site, and the files that these name."""
    linked: list[Path] = []

    def changed(target: str) -> str:
        path = Path(os.path.normpath(page.parent / target))
        if (path / "README.md").exists():
            path = path / "README.md"
        if not path.exists():
            return target  # Sphinx says so
        linked.append(path)
        return posixpath.relpath(_place(path), posixpath.dirname(_place(page)) or ".")

    return _with_changed_links(page.read_text(encoding="utf-8"), changed), linked


def _with_changed_links(markdown: str, change: Callable[[str], str]) -> str:
    """The page with its links changed, but for those in code."""
    lines, in_code = [], False
    for line in markdown.split("\n"):
        in_code ^= line.lstrip().startswith("```")
        changed = _LINK.sub(lambda m: m["before"] + change(m["target"]) + m["after"], line)
        lines.append(line if in_code else changed)
    return "\n".join(lines)


def _place(path: Path) -> str:
    """Where in the site a file or folder of the repository stands."""
    if path.parent == DOCS and path.name in _RENAMED:
        return _RENAMED[path.name]
    place = path.relative_to(DOCS if path.is_relative_to(DOCS) else ROOT).as_posix()
    if path.is_dir():
        return f"{place}/index.md"
    return f"{place}.md" if path.suffix != ".md" and _is_shown(path) else place


def _is_shown(path: Path) -> bool:
    return path.is_dir() or (path.suffix in _LANGUAGES and path.stat().st_size < _LARGEST_SHOWN)


def _shown(path: Path) -> str:
    """A page of a file of code, or of all that are in a folder."""
    title = f"# {path.relative_to(ROOT).as_posix()}\n\n"
    if path.is_file():
        return title + _code(path)
    files = [file for file in sorted(path.iterdir()) if file.is_file() and _is_shown(file)]
    return title + "\n".join(f"## {file.name}\n\n{_code(file)}" for file in files)


def _code(file: Path) -> str:
    return f"```{_LANGUAGES[file.suffix]}\n{file.read_text(encoding='utf-8')}```\n"
