"""What the pages of reports share: templates, pictures of blocks, numbers in words."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.kind_table import all_kinds
from nni_blockqnn.blocks.layer import CONV_KERNELS
from nni_blockqnn.blocks.layer_kind import LayerKind
from nni_blockqnn.reports._block_svg import PAGE_THEME, svg_text
from nni_blockqnn.reports._idle import idle_layers
from nni_blockqnn.reports._inline import hover_json, inline_svg
from nni_blockqnn.reports._labels import colour, label
from nni_blockqnn.reports._plot import Chart
from nni_blockqnn.reports._shapes import (
    block_drawing,
    thumbnail_drawing,
)
from nni_blockqnn.reports._stages import accuracy_text
from nni_blockqnn.results.experiment import Results
from nni_blockqnn.results.problems import ProblemGroup, problem_groups
from nni_blockqnn.results.repetition import trial_versions
from nni_blockqnn.results.search_journal import LostNetwork, lost_networks
from nni_blockqnn.results.search_settings import search_seed
from nni_blockqnn.results.status import read_status

_SHOWN_PROBLEMS = 20
_SHOWN_LOST = 20
_THUMBNAIL_SCALE = 0.55


class DrawnChart(NamedTuple):
    """A chart on a page.

    Attributes:
        points: JSON text of what to say of its points; empty if there is nothing.
    """

    name: str
    title: str
    caption: str
    svg: Markup
    points: Markup


class Pictures(NamedTuple):
    """Of one block, and the command that draws it in the terminal."""

    thumbnail: Markup
    picture: Markup
    draw_command: str


class Problems(NamedTuple):
    """Trials without a result.

    Attributes:
        trials: how many there are.
        groups: the most frequent reasons.
        reasons: how many there are.
        lost_trials: how many ended without a word, as the tuner counts them.
        lost: of how many networks.
        given_up: some of those that are not sent again.
        all_given_up: how many these are.
    """

    trials: int
    groups: list[ProblemGroup]
    reasons: int
    lost_trials: int
    lost: int
    given_up: list[LostNetwork]
    all_given_up: int


def page_template(name: str) -> Template:
    environment = Environment(
        loader=PackageLoader("nni_blockqnn.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "quantity": quantity,
        "sortable": lambda value: "" if value is None else value,
        "duration": duration,
        "quoted": shlex.quote,
        "decimals": decimals,
        "accuracy": accuracy_text,
    }
    return environment.get_template(name)


def drawn(chart: Chart) -> DrawnChart:
    svg = inline_svg(chart.figure, f"{chart.title}. {chart.caption}")
    points = hover_json(chart.figure, chart.hovers)
    return DrawnChart(chart.name, chart.title, chart.caption, svg, points)


def thumbnail(block: Block) -> Markup:
    return Markup(
        svg_text(
            thumbnail_drawing(block),
            labelled=False,
            description=f"small picture of the block {block}",
            theme=PAGE_THEME,
            scale=_THUMBNAIL_SCALE,
        )
    )


def picture(block: Block) -> Markup:
    return Markup(
        svg_text(
            block_drawing(block),
            labelled=True,
            description=f"picture of the block {block}",
            theme=PAGE_THEME,
        )
    )


def pictures(block: Block) -> Pictures:
    command = f"blockqnn draw {shlex.quote(block.to_json())}"
    return Pictures(thumbnail(block), picture(block), command)


def legend(blocks: Iterable[Block]) -> list[tuple[str, str]]:
    """The colours of layers, and what they are.

    The paper's layers are always listed, those of the encoding "separate" if a block is of it, and
    optional kinds and other kernels if a block has them.
    """
    blocks = [*blocks]
    encodings = {"pcc", *(block.encoding for block in blocks)}
    kernels: dict[LayerKind, set[int]] = {}
    for block in blocks:
        for layer, kind in zip(block.layers, block.kinds, strict=True):
            kernels.setdefault(kind, set()).add(layer.kernel)
    shown_kinds: dict[tuple[int, int], None] = {}
    for kind in all_kinds():
        listed = kind in kernels if kind.optional else bool(encodings & {*kind.encodings})
        if not listed or kind.ends:
            continue
        paper = CONV_KERNELS if kind.kernels == "conv" else ()
        coloured = {*paper, *kernels.get(kind, ())} if kind.kernel_colours else {0}
        shown_kinds |= dict.fromkeys((kind.type, kernel) for kernel in sorted(coloured))
    found = [(colour(*kind), label(*kind)) for kind in shown_kinds]
    return [*found, (PAGE_THEME.idle, "does nothing")] if any(map(idle_layers, blocks)) else found


def facts(results: Results) -> dict[str, str]:
    """What was searched or trained, and how."""
    experiment, config = results.experiment, results.experiment.config
    status, now = read_status(results), datetime.now(tz=timezone.utc)
    state = f"{status.text}{f'; {status.why}' if status.why else ''}"
    rows = {
        "Experiment": experiment.id,
        "State": state if status.is_over else f"{state}, at {now:%Y-%m-%d %H:%M} UTC",
    }
    if results.started is not None:
        started = datetime.fromtimestamp(results.started, tz=timezone.utc)
        rows["Started"] = f"{started:%Y-%m-%d %H:%M} UTC"
    for name, entry in (config.get("searchSpace") or {}).items():
        value = entry.get("_value") if isinstance(entry, dict) else entry
        if name == "block" and isinstance(value, list):
            value = f"{len(value)} given block{'s' if len(value) != 1 else ''}"
        rows[f"Search space: {name}"] = _plain(value)
    tuner = config.get("tuner") or {}
    if (seed := search_seed(experiment)) is not None:
        rows["Seed"] = str(seed)
    if (versions := trial_versions(results)) is not None:
        rows["Versions"] = versions
    if tuner.get("classArgs"):
        rows["Tuner"] = _plain(tuner["classArgs"])
    if config.get("trialCommand"):
        rows["Trial"] = str(config["trialCommand"])
    return rows


def problems(results: Results) -> Problems:
    """Why trials have no result, and which networks were lost."""
    groups = problem_groups(results)
    lost = lost_networks(results.experiment.directory)
    given_up = [network for network in lost if network.is_given_up]
    return Problems(
        sum(group.count for group in groups),
        groups[:_SHOWN_PROBLEMS],
        len(groups),
        sum(network.times for network in lost),
        len(lost),
        given_up[:_SHOWN_LOST],
        len(given_up),
    )


def statuses(results: Results) -> str:
    """Such as "9 succeeded, 2 failed"."""
    named = {"SUCCEEDED": "succeeded", "FAILED": "failed", "USER_CANCELED": "cancelled"}
    counts = sorted(results.statuses.items(), key=lambda item: -item[1])
    return ", ".join(
        f"{count:,} {named.get(status, status.lower().replace('_', ' '))}"
        for status, count in counts
    )


def quantity(number: float | None) -> str:
    """Such as "12.3 M", to three digits."""
    if number is None:
        return "–"
    if number < 1000:
        return f"{number:.0f}"
    rounded = float(f"{number:.3g}")
    exponent = math.floor(math.log10(rounded))
    group = min(exponent // 3, 4)
    return f"{rounded / 1000**group:,.{max(0, 2 - (exponent - 3 * group))}f} {' kMGT'[group]}"


def decimals(number: float | None, digits: int = 2, unit: str = "") -> str:
    """Such as "98.61 %"."""
    return "–" if number is None else f"{number:.{digits}f}{unit}"


def duration(seconds: float | None) -> str:
    """Such as "2 h 5 min"."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _plain(value: Any) -> str:
    """A setting as one line without brackets and quotes."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(item)}" for name, item in value.items())
    if isinstance(value, list) and not any(isinstance(item, (list, dict)) for item in value):
        return " or ".join(map(str, value))
    return str(value)
