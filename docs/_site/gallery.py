"""The gallery: blocks that were trained, drawn, with their accuracies and costs.

It is made from the tables of ``benchmarks/``, so it shows what they hold.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from math import sqrt
from pathlib import Path
from statistics import stdev

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from nsc_bench.ground import HAND_MADE
from nsc_bench.table import Entry, load_table

from nni_blockqnn.reports.drawing import draw_image

_SEEDS = 3
"""Blocks with fewer long trainings are left out: one training says little."""
_MOST_SMALL = 8
_RANDOM = {"uniform", "exploration"}
"""Kinds of blocks at equal cost that nobody chose."""


def _of_long_trainings() -> list[Entry]:
    """Best first."""
    entries = load_table("cifar10_long").entries
    trained = [entry for entry in entries if len(entry.accuracies) == _SEEDS]
    return sorted(trained, key=lambda entry: -entry.accuracy)


def _pareto_front() -> list[Entry]:
    """Small blocks that are more accurate than all that cost less, the most accurate first."""
    front: list[Entry] = []
    small = [entry for entry in load_table("digits").entries if entry.kind.startswith("upto")]
    for entry in sorted(small, key=lambda entry: (entry.flops, -entry.accuracy)):
        if not front or entry.accuracy > front[-1].accuracy:
            front.append(entry)
    return front[: -_MOST_SMALL - 1 : -1]


_KINDS: dict[str, Callable[[], list[Entry]]] = {
    "equal-cost": _of_long_trainings,
    "small": _pareto_front,
}
"""What a comment of the page names: ``<!-- blocks: small -->``."""


def draw(folder: Path) -> None:
    """A picture of each block."""
    folder.mkdir()
    for kind, chosen in _KINDS.items():
        for number, entry in enumerate(chosen()):
            draw_image(entry.block, folder / _picture(kind, number))


def with_cards(page: str) -> str:
    """The page, with the blocks where its comments are."""
    for kind, chosen in _KINDS.items():
        comment = f"<!-- blocks: {kind} -->"
        if comment not in page:
            raise ValueError(f"gallery.md has no {comment}")
        page = page.replace(comment, _cards(kind, chosen()))
    return page


def _picture(kind: str, number: int) -> str:
    return f"{kind}-{number}.svg"


def _cards(kind: str, entries: Sequence[Entry]) -> str:
    cards = [_card(_picture(kind, number), entry) for number, entry in enumerate(entries)]
    return f'<div class="blocks">\n{"".join(cards)}</div>\n'


def _card(picture: str, entry: Entry) -> str:
    layers = len(entry.block.layers)
    width = "" if entry.width is None else f", width {entry.width}"
    return f"""<figure>
<a href="_static/gallery/{picture}"><img src="_static/gallery/{picture}" \
alt="drawing of the block" loading="lazy"></a>
<figcaption>
<strong>{_accuracy(entry)}</strong><br>{_origin(entry)}<br>
{layers} layer{"s" * (layers > 1)}{width}<br>
{entry.flops / 1e6:.2f} MFLOPs<br>{entry.params:,} parameters
<details><summary>codes</summary><code>{entry.block.to_json()}</code></details>
</figcaption>
</figure>
"""


def _accuracy(entry: Entry) -> str:
    error = stdev(entry.accuracies) / sqrt(len(entry.accuracies))
    return f"{entry.accuracy:.2f} ± {error:.2f} %"


def _origin(entry: Entry) -> str:
    for name, block in HAND_MADE.items():
        if block.key == entry.block.key:
            return f"{name}, made by hand"
    if entry.kind in _RANDOM:
        return "drawn at random"
    return "small block" if entry.width is None else "found by a search"
