"""A part of the measurements: its cases, a line of a file for each, and a limit of time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from json_lines import append, read_lines

from nni_blockqnn.training.memory import free_memory

Row = Mapping[str, Any]
_MOST_BEGINNINGS = 2
"""A case that ended its process so often is left out."""
T = TypeVar("T")


@dataclass(frozen=True)
class Setting:
    """Where all parts measure.

    Attributes:
        folder: holds a file for each part, and what they need beside it.
        smoke: everything once, on next to no data, to see that it runs.
    """

    device: torch.device
    folder: Path
    smoke: bool = False

    def of(self, real: T, smoke: T) -> T:
        """The one value, or the other for a smoke test."""
        return smoke if self.smoke else real


class Case(NamedTuple):
    """One measurement.

    Attributes:
        name: unique in its part.
        measure: returns what the part's table is to say.
    """

    name: str
    measure: Callable[[], Row]


class Part(NamedTuple):
    """Measurements that one process makes in less than nine minutes, or goes on with later."""

    name: str
    title: str
    cases: Callable[[Setting], Iterable[Case]]


def run_part(part: Part, setting: Setting, seconds: float) -> bool:
    """Measure what the part's file does not have yet.

    Args:
        seconds: no case begins later.

    Returns:
        Whether the part is complete.
    """
    path = setting.folder / f"{part.name}.jsonl"
    finished = results(path)
    begun = Counter(line["case"] for line in read_lines(path) if line.get("begun"))
    deadline = time.monotonic() + seconds
    for case in part.cases(setting):
        if case.name in finished:
            continue
        if time.monotonic() > deadline:
            return False
        if begun[case.name] >= _MOST_BEGINNINGS:
            append(path, {"case": case.name, "failed": "it ended its process, twice"})
            continue
        append(path, {"case": case.name, "begun": True})  # it may end this process
        append(path, {"case": case.name, **_measured(case)})
        if setting.device.type == "cuda":
            free_memory(setting.device)
        print(f"{part.name}: {case.name}", flush=True)
    return True


def results(path: Path) -> dict[str, Row]:
    """What is measured, by the names of the cases."""
    return {
        line["case"]: {name: value for name, value in line.items() if name != "case"}
        for line in read_lines(path)
        if not line.get("begun")
    }


def _measured(case: Case) -> Row:
    try:
        return case.measure()
    except Exception as error:  # whatever one case meets, the others are measured
        (first, *_) = str(error).splitlines() or [""]
        return {"failed": f"{type(error).__name__}: {first}"}
