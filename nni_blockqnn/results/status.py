"""How an experiment stands: what runs, what is done, when it will end."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from nni_blockqnn.bridge import launch
from nni_blockqnn.bridge.managers import find_manager, port_of
from nni_blockqnn.bridge.statuses import (
    DONE,
    ERROR,
    EXPERIMENT_RUNS,
    RUNNING,
    TRIAL_ENDED,
    TUNER_NO_MORE_TRIAL,
    UNDER_WAY,
)
from nni_blockqnn.results.experiment import Experiment, Results

State = Literal["starting", "running", "finished", "stopped", "given up", "failed", "killed"]
"""``killed``: NNI calls it running, but its manager does not run on this machine."""

_STARTED = "Dispatcher started"
_SEARCH_ENDS = re.compile(r"The search ends: (.*)")
_EXHAUSTED = "all blocks"
"""How that reason begins if the search has not failed."""
_LOG_END_BYTES = 1 << 20
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Status:
    """How an experiment stands.

    Attributes:
        why: the reason for that state, empty if there is none to give.
        ended: how many trials have ended, with a result or without.
        planned: how many the experiment is to have; None if it has no limit.
        running: how many run now.
        seconds_left: until the planned trials have ended, at the pace so far; None if it does not
            run, or if nothing tells it yet.
    """

    state: State
    why: str
    ended: int
    planned: int | None
    running: int
    seconds_left: float | None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen unless a user acts."""
        return self.state not in ("starting", "running")

    @property
    def record(self) -> dict[str, Any]:
        """The attributes, as JSON values."""
        return asdict(self)

    @property
    def text(self) -> str:
        """Such as "stopped: 12 of 48 trials done"."""
        planned = "" if self.planned is None else f" of {self.planned:,}"
        running = f", {self.running:,} running" if self.running else ""
        trials = "trial" if (self.planned or self.ended) == 1 else "trials"
        return f"{self.state}: {self.ended:,}{planned} {trials} done{running}"


def read_status(results: Results) -> Status:
    """How the experiment stands, by NNI's list, its processes and its logs."""
    experiment = results.experiment
    ended = sum(results.statuses.get(status, 0) for status in TRIAL_ENDED)
    ended = max(ended, len(results.trials))
    planned = _planned(experiment.config)
    state, why = _state(results, ended, planned)
    runs = state == "running"
    running = results.statuses.get(RUNNING, 0) if runs else 0
    left = _seconds_left(results, ended, planned) if runs else None
    return Status(state, why, ended, planned, running, left)


def end_in_words(seconds_left: float, now: float | None = None) -> str:
    """Such as "about 2 h 5 min left, until 14:30"; with the date if that is another day's."""
    begun = time.time() if now is None else now
    minutes = max(1, round(seconds_left / 60))
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        left = f"{days:,} d {hours} h"
    else:
        left = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    try:
        today, end = datetime.fromtimestamp(begun), datetime.fromtimestamp(begun + seconds_left)
    except (OverflowError, OSError, ValueError):  # in ten thousand years
        return f"about {left} left"
    at = f"{end:%H:%M}" if end.date() == today.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"about {left} left, until {at}"


def _state(results: Results, ended: int, planned: int | None) -> tuple[State, str]:
    experiment = results.experiment
    is_done = planned is not None and ended >= planned
    if experiment.has_ended:
        if experiment.status == ERROR:
            return "failed", f"NNI's logs say why: {experiment.directory / 'log'}"
        return _ended(experiment, is_done or experiment.status == DONE)
    manager = find_manager(experiment)
    if manager is None:
        return _without_manager(experiment, is_done)
    status = experiment.status
    if status not in EXPERIMENT_RUNS:  # not in NNI's list, or in a state that passes
        launched = launch.Launched(experiment.id, port_of(manager) or experiment.port or 0)
        status = launch.status(launched)
    if status == DONE:
        return "finished", ""
    if status == ERROR:
        return "failed", f"NNI's logs say why: {experiment.directory / 'log'}"
    under_way = any(results.statuses.get(one, 0) for one in UNDER_WAY)
    if status == TUNER_NO_MORE_TRIAL and not under_way:
        return _ended(experiment, _why_search_ended(experiment.directory) is None)
    return ("running", "") if results.statuses else ("starting", "")


def _ended(experiment: Experiment, is_done: bool) -> tuple[State, str]:
    """Of an experiment that goes on no more: because the tuner wants no more, or otherwise."""
    if is_done:
        return "finished", ""
    reason = _why_search_ended(experiment.directory)
    if reason is None:
        return "stopped", ""
    return ("finished" if reason.startswith(_EXHAUSTED) else "given up"), reason


def _without_manager(experiment: Experiment, is_done: bool) -> tuple[State, str]:
    if is_done or _why_search_ended(experiment.directory):
        return _ended(experiment, is_done)
    if experiment.status in EXPERIMENT_RUNS:
        return "killed", "NNI calls it running, but its manager does not run on this machine"
    return "stopped", "NNI's list does not have it, and its manager does not run"


def _why_search_ended(directory: Path) -> str | None:
    """Why the tuner of the last run asked for no more trials; None if it did not."""
    path = directory / "log" / "dispatcher.log"
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_END_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    found = _SEARCH_ENDS.findall(text.rpartition(_STARTED)[2])
    return found[-1].strip() if found else None


def _planned(config: Mapping[str, Any]) -> int | None:
    planned = config.get("maxTrialNumber")
    return planned if isinstance(planned, int) and planned > 0 else None


def _seconds_left(results: Results, ended: int, planned: int | None) -> float | None:
    """By the trials so far, or by maxExperimentDuration if that comes first."""
    if not results.seconds:
        return None
    limits = []
    if planned is not None and ended:
        limits.append(results.seconds / ended * max(0, planned - ended))
    if (longest := _duration(results.experiment.config.get("maxExperimentDuration"))) is not None:
        limits.append(max(0.0, longest - results.seconds))
    return min(limits, default=None)


def _duration(value: Any) -> float | None:
    """Seconds of NNI's "1.5h", or of a number of seconds."""
    if isinstance(value, (int, float)):
        return float(value)
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", str(value))
    return float(found[1]) * _SECONDS[found[2]] if found else None
