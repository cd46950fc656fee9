"""How ``blockqnn top`` shows results: a table, JSON or CSV."""

from __future__ import annotations

import csv
import json
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from rich.table import Table

from nni_blockqnn.blocks.named import name_of
from nni_blockqnn.commands._console import TableConsole, width_of
from nni_blockqnn.common.checks import is_number
from nni_blockqnn.network.measure import measure_of
from nni_blockqnn.results.experiment import TrialResult

_FIELDS = (
    "episode",
    "trial_id",
    "reward",
    "expected",
    "accuracy",
    "flops",
    "params",
    "density",
    "repeats",
)
_TIMES = ("epoch_seconds", "image_milliseconds")
_MORE_FIELDS = ("name", "block", "encoding", "network_folder", "width", "start_block", *_TIMES)


def show_json(best: Sequence[TrialResult]) -> None:
    """Print results as a JSON list, best first."""
    print(json.dumps(records(best), indent=1))


def records(best: Sequence[TrialResult]) -> list[dict[str, Any]]:
    """Results as JSON values."""
    return [_record(result) for result in best]


def show_csv(best: Sequence[TrialResult]) -> None:
    """Print results as CSV with a line of headings, best first."""
    writer = csv.DictWriter(sys.stdout, [*_FIELDS, *_MORE_FIELDS])
    writer.writeheader()
    writer.writerows(_record(result) for result in best)


def show_table(best: Sequence[TrialResult], console: TableConsole) -> None:
    """Print a table, best first; where the terminal is too narrow for it, a paragraph a result.

    Numbers are never cut. The trials' IDs are in the table if there is room for them.
    """
    reported = _reported(best)
    for columns in (reported, reported[:-1]):
        table = _table(best, columns)
        needed = width_of(table, console)
        if needed <= console.width:
            console.print(table)
            return
    if console.has_width:
        _show_paragraphs(best, console)
    else:  # in a file or a pipe there is room
        console.width = needed
        console.print(table)


def show_codes(best: Sequence[TrialResult], console: TableConsole) -> None:
    """Print the blocks' structure codes, uncut: the cells of a table could not be copied."""
    for place, result in enumerate(best, 1):
        name = name_of(result.block)
        marks = ", ".join(filter(None, [name, "start block" if result.is_start else None]))
        line = f"{place:>3}  {result.block.to_json()}" + (f"  {marks}" if marks else "")
        console.print(line, markup=False, soft_wrap=True)


def _table(best: Sequence[TrialResult], columns: Sequence[_Column]) -> Table:
    table = Table()
    table.add_column("#", justify="right", no_wrap=True)
    for heading, _ in columns:
        table.add_column(_heading(heading, best), justify="right", no_wrap=True)
    for place, result in enumerate(best, 1):
        table.add_row(str(place), *(text(result) for _, text in columns))
    return table


def _show_paragraphs(best: Sequence[TrialResult], console: TableConsole) -> None:
    for place, result in enumerate(best, 1):
        facts = [(_name_and_unit(heading, best), text(result)) for heading, text in _COLUMNS]
        words = [
            "\0".join(filter(None, [name, fact, unit])) for (name, unit), fact in facts if fact
        ]
        lines = textwrap.wrap(
            ", ".join(words),
            max(console.width, 1),
            initial_indent=f"{place:>3}  ",
            subsequent_indent="     ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        console.print("\n".join(lines).replace("\0", " "), markup=False, soft_wrap=True)


def _reported(best: Sequence[TrialResult]) -> list[_Column]:
    """The columns, without those that not every search has where there is nothing in them."""
    return [
        column
        for column in _COLUMNS
        if column[0] not in _NOT_EVERYWHERE or any(column[1](result) for result in best)
    ]


def _time(result: TrialResult, name: str) -> str:
    value = result.metric.get(name)
    return f"{value:.3g}" if is_number(value) else ""


def _name_and_unit(heading: str, best: Sequence[TrialResult]) -> tuple[str, str]:
    if heading != _ACCURACY:
        return heading, ""
    measure = measure_of(best[0].metric)
    return measure.title, measure.unit


def _heading(heading: str, best: Sequence[TrialResult]) -> str:
    """With the name of what the search's task measures, in the place of accuracy."""
    return " ".join(filter(None, _name_and_unit(heading, best)))


def _accuracy(result: TrialResult) -> str:
    """In its measure's own direction."""
    if result.accuracy is None:
        return ""
    return _decimals(measure_of(result.metric).score(result.accuracy))


def _decimals(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _millions(flops: int | None) -> str:
    if flops is None:
        return ""
    value = flops / 1e6
    return f"{value:.2f}" if value >= 1 else f"{value:.3g}"


_ACCURACY = "accuracy"
_NOT_EVERYWHERE = ("expected", "width", "s/epoch", "ms/image")

_Column = tuple[str, Callable[[TrialResult], str]]
"""A heading, and what a result has under it; empty if its trial did not report it."""

_COLUMNS: tuple[_Column, ...] = (
    ("episode", lambda result: str(result.episode)),
    ("reward", lambda result: _decimals(result.reward)),
    ("expected", lambda result: _decimals(result.expected)),
    (_ACCURACY, _accuracy),
    ("MFLOPs", lambda result: _millions(result.flops)),
    ("params", lambda result: "" if result.params is None else f"{result.params:,}"),
    ("layers", lambda result: str(len(result.block.layers))),
    ("N", lambda result: str(result.repeats or "")),
    ("width", lambda result: str(result.width or "")),
    ("s/epoch", lambda result: _time(result, "epoch_seconds")),
    ("ms/image", lambda result: _time(result, "image_milliseconds")),
    ("trial", lambda result: result.trial_id),
)


def _record(result: TrialResult) -> dict[str, Any]:
    values = {name: getattr(result, name) for name in _FIELDS}
    return values | {
        "name": name_of(result.block),
        "block": result.block.to_json(),
        "encoding": result.block.encoding,
        "network_folder": result.metric.get("network_folder"),
        "width": result.width,
        "start_block": result.is_start,
        **{name: result.metric.get(name) for name in _TIMES},
    }
