"""When each trial ran, and beside which others."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import NamedTuple

from nni_blockqnn.bridge.database import Trial, database_in, read_trials
from nni_blockqnn.bridge.statuses import FAILED, SUCCEEDED
from nni_blockqnn.results.experiment import Results

_LONG_PAUSE = 120.0
"""Seconds without a trial that are left out of the time, as between a stop and a resume."""


class Span(NamedTuple):
    """The time of one trial.

    Attributes:
        slot: from 0: the first that was free when the trial began.
        start: seconds since the first trial began, long pauses of all trials left out.
        outcome: "result", "failed" or "ended without a result".
    """

    trial_id: str
    slot: int
    start: float
    seconds: float
    outcome: str


def trial_spans(results: Results) -> list[Span]:
    """The trials that have ended, by their start; none if NNI's database is not here.

    Raises:
        ExperimentDatabaseError: if the database cannot be read.
    """
    directory = results.experiment.directory
    if not database_in(directory).is_file():
        return []
    counted = {result.trial_id for result in results.trials}
    timed = sorted(
        (trial.started, trial.ended, trial.id, _outcome(trial, counted))
        for trial in read_trials(directory, with_parameters=False)
        if trial.started is not None and trial.ended is not None and trial.ended >= trial.started
    )
    return _in_slots(timed)


def _outcome(trial: Trial, counted: set[str]) -> str:
    if trial.id in counted:
        return "result"
    return "failed" if trial.status in (FAILED, SUCCEEDED) else "ended without a result"


def _in_slots(timed: Iterable[tuple[float, float, str, str]]) -> list[Span]:
    spans: list[Span] = []
    free: list[int] = []
    running: list[tuple[float, int]] = []  # (end, slot)
    slots, skipped, busy_until, first = 0, 0.0, None, 0.0
    for start, end, trial_id, outcome in timed:
        if busy_until is None:
            first = busy_until = start
        if start - busy_until > _LONG_PAUSE:
            skipped += start - busy_until
        busy_until = max(busy_until, end)
        while running and running[0][0] <= start:
            heapq.heappush(free, heapq.heappop(running)[1])
        if not free:
            heapq.heappush(free, slots)
            slots += 1
        slot = heapq.heappop(free)
        heapq.heappush(running, (end, slot))
        spans.append(Span(trial_id, slot, start - first - skipped, end - start, outcome))
    return spans
