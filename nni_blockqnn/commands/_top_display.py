"""How ``blockqnn top`` shows results: a table, JSON or CSV."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nni_blockqnn.blocks.named import name_of
from nni_blockqnn.results.experiment import TrialResult

_COLUMNS = ("episode", "reward", "accuracy", "flops", "params", "density", "repeats")
_MORE_COLUMNS = ("name", "block", "encoding", "network_folder")


def show(best: Sequence[TrialResult], form: str, title: str) -> None:
    """Print results, best first; a reader that has gone meanwhile (``head``) is no error.

    Args:
        form: "table", "json" or "csv".
        title: of the table.
    """
    try:
        _SHOWN[form](best, title)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_json(best: Sequence[TrialResult], title: str) -> None:
    print(json.dumps([_record(result) for result in best], indent=1))


def _show_csv(best: Sequence[TrialResult], title: str) -> None:
    writer = csv.DictWriter(sys.stdout, [*_COLUMNS, *_MORE_COLUMNS])
    writer.writeheader()
    writer.writerows(_record(result) for result in best)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise  # rich calls it as it handles the error; its own ends the process with code 1


def _show_table(best: Sequence[TrialResult], title: str) -> None:
    if not best:
        return
    console = _Console(highlight=False)
    table = Table(title=escape(title), title_justify="left")
    for heading in ("#", "episode", "reward", "accuracy %", "MFLOPs", "params", "layers", "N"):
        table.add_column(heading, justify="right")
    for place, result in enumerate(best, 1):
        table.add_row(
            str(place),
            str(result.episode),
            f"{result.reward:.2f}",
            f"{result.accuracy:.2f}",
            _millions(result.flops),
            "?" if result.params is None else f"{result.params:,}",
            str(len(result.block.layers)),
            str(result.repeats or "?"),
        )
    console.print(table)
    # outside the table, whose folded cells could not be copied
    for place, result in enumerate(best, 1):
        name = name_of(result.block)
        line = f"{place:>3}  {result.block.to_json()}" + (f"  {name}" if name else "")
        console.print(line, markup=False, soft_wrap=True)


def _millions(flops: int) -> str:
    value = flops / 1e6
    return f"{value:.2f}" if value >= 1 else f"{value:.3g}"


def _record(result: TrialResult) -> dict[str, Any]:
    values = {name: getattr(result, name) for name in _COLUMNS}
    return values | {
        "name": name_of(result.block),
        "block": result.block.to_json(),
        "encoding": result.block.encoding,
        "network_folder": result.metric.get("network_folder"),
    }


_SHOWN: dict[str, Callable[[Sequence[TrialResult], str], None]] = {
    "table": _show_table,
    "json": _show_json,
    "csv": _show_csv,
}
