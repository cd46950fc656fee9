"""Build the documentation as a site:  python docs/_site/build_site.py [FOLDER]

The pages in ``docs/`` are plain Markdown, which GitHub shows as it is. Here they are copied, with
what they link to outside of ``docs/``, and what is made from the code and its results is added.
Then Sphinx builds the copies. A link that leads nowhere and a page that stands in no part of the
navigation are errors.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import commands_page
import gallery
import outside
from outside import DOCS, ROOT

SITE = Path(__file__).parent
PARTS = {
    "Start": ["tutorial", "gallery"],
    "How to": [
        "one_command",
        "usage",
        "gpu_box",
        "resume",
        "report",
        "final_training",
        "transfer",
        "export",
        "calibration",
        "own_layer",
        "own_agent",
        "compare_tuners",
        "examples/README",
    ],
    "Reference": [
        "commands",
        "python",
        "the_search",
        "network",
        "metrics",
        "training",
        "predictor",
        "dependencies",
        "CHANGELOG",
    ],
    "Explanation": ["paper", "identity", "nni", "faults", "security", "architecture"],
    "Results": [
        "search_quality",
        "search_quality_tables",
        "nsc_bench",
        "turnover",
        "conformance",
        "results",
    ],
}
"""The navigation."""


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
    for name, text in outside.pages([*sorted(DOCS.glob("*.md")), ROOT / "CHANGELOG.md"]):
        target = pages / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, Path):
            shutil.copy(text, target)
        else:
            target.write_text(_completed(name, text), encoding="utf-8")
    (pages / "commands.md").write_text(commands_page.page(), encoding="utf-8")
    gallery.draw(static / "gallery")


def _completed(name: str, text: str) -> str:
    """A page with what only the site has."""
    if name == "gallery.md":
        return gallery.with_cards(text)
    if name == "index.md":
        trees = "".join(_tree(title, entries) for title, entries in PARTS.items())
        return f"{text}\n{trees}"
    if "/" in name and Path(name).with_suffix("").as_posix() not in PARTS["How to"]:
        return f"---\norphan: true\n---\n\n{text}"  # reached by links alone
    return text


def _tree(title: str, entries: list[str]) -> str:
    return f"```{{toctree}}\n:caption: {title}\n:hidden:\n\n{chr(10).join(entries)}\n```\n"


if __name__ == "__main__":
    sys.exit(main())
