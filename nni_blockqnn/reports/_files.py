"""The figures of a report as files: each as SVG and PNG, and its data as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from pathlib import Path

from matplotlib import rc_context

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.common.files import write_whole
from nni_blockqnn.reports._plot import Chart, Row
from nni_blockqnn.reports.drawing import SVG_SETTINGS, draw_image
from nni_blockqnn.results.experiment import TrialResult

_DOTS_PER_INCH = 220
_BLOCK_FORMATS = (".svg", ".png", ".tex")
_RESULT_COLUMNS = (
    "episode",
    "trial",
    "accuracy",
    "reward",
    "flops",
    "params",
    "density",
    "repeats",
    "width",
    "seconds",
    "start_block",
    "block",
)


def write_chart(chart: Chart, folder: Path) -> None:
    """Write NAME.svg, NAME.png and NAME.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    chart.figure.set_facecolor("white")
    with rc_context(SVG_SETTINGS):
        chart.figure.savefig(folder / f"{chart.name}.svg", metadata={"Date": None})
    chart.figure.savefig(folder / f"{chart.name}.png", dpi=_DOTS_PER_INCH)
    write_table(folder / f"{chart.name}.csv", chart.columns, chart.rows)


def write_block(block: Block, name: str, folder: Path) -> None:
    """Write its picture as SVG, PNG and TikZ, and its codes as CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in _BLOCK_FORMATS:
        draw_image(block, folder / f"{name}{suffix}")
    columns = ("index", "type", "kernel", "pred1", "pred2")
    write_table(folder / f"{name}.csv", columns, [tuple(row) for row in block.codes])


def write_results(trials: Iterable[TrialResult], path: Path) -> None:
    rows = [
        (
            one.episode,
            one.trial_id,
            one.accuracy,
            one.reward,
            one.flops,
            one.params,
            one.density,
            one.repeats,
            one.width,
            one.seconds,
            int(one.is_start),
            one.block.to_json(),
        )
        for one in trials
    ]
    write_table(path, _RESULT_COLUMNS, rows)


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_whole(path, text.getvalue())
