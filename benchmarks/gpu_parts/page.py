"""The Markdown file of all parts."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping

import numpy as np
import torch

from gpu_parts.part import Part, Row, Setting, results
from nni_blockqnn.calibration.rank_statistics import bootstrap, spearman

_RESAMPLES = 2_000
_FIRST_ARM = "fp32"


def page(parts: Mapping[str, Part], setting: Setting) -> str:
    """What is measured so far, a section a part."""
    lines = ["# On a GPU" if setting.device.type == "cuda" else "# On a CPU: a rehearsal", ""]
    lines += [f"{where(setting.device)}\n"]
    if setting.smoke:
        lines += ["Next to no data, everything once: these figures say that it runs, no more.\n"]
    order: dict[str, Row] = {}
    for part in parts.values():
        rows = results(setting.folder / f"{part.name}.jsonl")
        if part.name.startswith("order"):
            order |= rows
            continue
        if rows:
            lines += [f"## {part.title}\n", *_table(rows), ""]
    if order:
        lines += ["## The order of blocks, against fp32\n", *_order_table(order), ""]
    return "\n".join(lines)


def where(device: torch.device) -> str:
    """The device, its software and the CPU beside it, in one line."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    cuda = f", CUDA {torch.version.cuda}" if device.type == "cuda" else ""
    return f"{name}, {os.cpu_count()} CPU cores, PyTorch {torch.__version__}{cuda}"


def _table(rows: Mapping[str, Row]) -> Iterator[str]:
    texts = {name: row.pop("table") for name, row in map(_copied, rows.items()) if "table" in row}
    columns = dict.fromkeys(name for row in rows.values() for name in row if name != "table")
    yield f"| | {' | '.join(columns)} |"
    yield f"| --- |{' --- |' * len(columns)}"
    for name, row in rows.items():
        cells = [_cell(row.get(column, "")) for column in columns]
        yield f"| {name} | {' | '.join(cells)} |"
    for text in texts.values():
        yield f"\n{text}"


def _copied(item: tuple[str, Row]) -> tuple[str, dict]:
    name, row = item
    return name, dict(row)


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, (int, float)) else str(value)
    return text.replace("|", "\\|")


def _order_table(rows: Mapping[str, Row]) -> Iterator[str]:
    """Spearman's correlation of each arm's accuracies with those of the first one."""
    arms: dict[str, dict[str, float]] = {}
    for case, row in rows.items():
        number, _, arm = case.partition("; ")
        if "accuracy" in row:
            arms.setdefault(arm, {})[number] = row["accuracy"]
    yield "| | blocks | Spearman [95 %] | mean difference, points |"
    yield "| --- | --- | --- | --- |"
    firsts = arms.pop(_FIRST_ARM, {})
    for arm, found in arms.items():
        shared = sorted(firsts.keys() & found.keys())
        if len(shared) < 3:
            continue
        first, other = (np.array([of[number] for number in shared]) for of in (firsts, found))
        drawn = np.random.default_rng(0).integers(len(shared), size=(_RESAMPLES, len(shared)))

        def correlation(
            positions: np.ndarray, first: np.ndarray = first, other: np.ndarray = other
        ) -> np.ndarray:
            return spearman(first[positions], other[positions])

        interval = bootstrap(correlation, len(shared), drawn)
        yield f"| {arm} | {len(shared)} | {interval} | {(other - first).mean():+.2f} |"
