"""What a user asks for: data, hours and a few choices that all have a default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

from nni_blockqnn.common.checks import LARGEST_SEED, checked_integer, is_number
from nni_blockqnn.common.messages import alternatives, did_you_mean, shown
from nni_blockqnn.common.plugins import is_reference
from nni_blockqnn.data.outline import NAMED
from nni_blockqnn.tasks import CLASSIFICATION, TASKS, find_task
from nni_blockqnn.training.arguments import DEFAULT_DATA_DIR

TIERS = ("small", "medium", "large")
_MOST_HOURS = 10_000
_MOST_TRIALS = 100_000
_MOST_AT_A_TIME = 1_000
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_COST = re.compile(r"(\d+(?:\.\d+)?)([kMG]?)")
_LATENCY = re.compile(r"(\d+(?:\.\d+)?) ?ms")


class RequestError(ValueError):
    """What cannot be asked for; the message names it, its value and what is allowed."""


class Budget(NamedTuple):
    """What a network may cost.

    Attributes:
        kind: "auto", whatever the hours allow; "tier", one of `TIERS`; "flops",
            multiply-accumulates for one image; "latency", milliseconds for one image here.
        value: a tier's name, or a number.
    """

    kind: Literal["auto", "tier", "flops", "latency"]
    value: str | float = ""


def parse_budget(text: str) -> Budget:
    """The budget that "small", "40M" or "2ms" says.

    Raises:
        RequestError: naming what is allowed.
    """
    if text == "auto":
        return Budget("auto")
    if text in TIERS:
        return Budget("tier", text)
    if (found := _COST.fullmatch(text)) and (flops := round(float(found[1]) * _UNITS[found[2]])):
        return Budget("flops", flops)
    if (found := _LATENCY.fullmatch(text)) and float(found[1]):
        return Budget("latency", float(found[1]))
    allowed = alternatives(
        ["auto", *TIERS, "multiply-accumulates such as 40M", "milliseconds an image such as 2ms"]
    )
    raise RequestError(f"budget must be {allowed}, got {shown(text)}")


@dataclass(frozen=True)
class Request:
    """What a search is asked for.

    Attributes:
        data: a folder of images, a data set's name, or ``module:function``, as the task knows them.
        hours: for all of it, from the first look at the data to the exported network.
        data_dir: where a named data set lies, or is downloaded to.
        budget: what a network may cost: see :func:`parse_budget`.
        trials: of the search; default None, as many as the hours allow.
        concurrency: trials at a time; default None, one a core, or two on a GPU.
        gpus: GPUs to use; default None, those that there are. Not with `remote`.
        finalists: found blocks that are trained long; default None, from the hours.
        final_epochs: of the long trainings; default None, from the hours that are left.
        seed: of the search, the trainings and the images held out.
        frontier: whether the best block is also found for a smaller and for a larger cost.
        remote: a file that lists other machines, which train instead of this one.
        task: a name in :data:`nni_blockqnn.tasks.TASKS` (default "classification"), or
            ``module:function`` of one of the user's own.

    Raises:
        RequestError: naming the field, its value and what is allowed.
    """

    data: str
    hours: float
    data_dir: Path = DEFAULT_DATA_DIR
    budget: str = "auto"
    trials: int | None = None
    concurrency: int | None = None
    gpus: int | None = None
    finalists: int | None = None
    final_epochs: int | None = None
    seed: int = 0
    frontier: bool = False
    remote: Path | None = None
    task: str = CLASSIFICATION.name

    def __post_init__(self) -> None:
        if not is_number(self.hours) or not 0 < self.hours <= _MOST_HOURS:
            raise RequestError(
                f"hours must be above 0 and at most {_MOST_HOURS:,}, got {shown(self.hours)}"
            )
        parse_budget(self.budget)
        if not isinstance(self.task, str) or not (self.task in TASKS or is_reference(self.task)):
            raise RequestError(
                f"task must be {alternatives([*TASKS, 'module:function'])}, got {shown(self.task)}"
                f"{did_you_mean(self.task, TASKS)}"
            )
        if not isinstance(self.frontier, bool):
            raise RequestError(f"frontier must be True or False, got {shown(self.frontier)}")
        if self.remote is not None and self.gpus is not None:
            raise RequestError(f"gpus are this machine's; give those of {self.remote} in that list")
        bounds = {
            "trials": (1, _MOST_TRIALS),
            "concurrency": (1, _MOST_AT_A_TIME),
            "gpus": (0, _MOST_AT_A_TIME),
            "finalists": (1, _MOST_AT_A_TIME),
            "final_epochs": (1, _MOST_TRIALS),
        }
        try:
            for name, (lowest, highest) in bounds.items():
                if getattr(self, name) is not None:
                    checked_integer(name, getattr(self, name), lowest, highest)
            checked_integer("seed", self.seed, 0, LARGEST_SEED)
        except ValueError as error:
            raise RequestError(str(error)) from None

    @property
    def seconds(self) -> float:
        return 3600 * self.hours

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values; paths are absolute."""
        is_classes = self.task == CLASSIFICATION.name
        named = NAMED if is_classes else find_task(self.task).datasets
        is_folder = self.data not in named and Path(self.data).expanduser().is_dir()
        data = str(Path(self.data).expanduser().resolve()) if is_folder else self.data
        paths = {"data_dir": self.data_dir, "remote": self.remote}
        absolute = {
            name: None if path is None else str(path.expanduser().absolute())
            for name, path in paths.items()
        }
        return asdict(self) | absolute | {"data": data}


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first field in which two requests' JSON values differ, in words; empty if none does.

    A field that an earlier version did not know had its default.
    """
    for field in fields(Request):
        then, today = (
            values.get(field.name, None if field.default is MISSING else field.default)
            for values in (before, now)
        )
        if then != today:
            return f"{field.name} was {shown(then)}, now it is {shown(today)}"
    return ""
