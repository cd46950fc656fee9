"""Why trials have no result, equal reasons together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import NamedTuple

from nni_blockqnn.bridge.database import Trial, database_in, read_trials
from nni_blockqnn.bridge.statuses import FAILED, TRIAL_ENDED
from nni_blockqnn.results._fates import ended_silently
from nni_blockqnn.results.experiment import Experiment, Results

_NUMBER = re.compile(r"0x[0-9a-fA-F]+|\d[\d,]*(?:\.\d+)?")
_CODES = re.compile(r"\[\[[\d,\s\[\]]*\]\]")
_END_BYTES = 4096
"""Of a log, in which its last line is looked for."""
_LONGEST_LINE = 200


@dataclass(frozen=True)
class ProblemGroup:
    """Trials without a result, for one reason.

    Attributes:
        fate: what happened: "failed", "unreadable", "killed" or "stopped".
        reason: of the last one. The others' may have other numbers and blocks in it.
        trial_id: of the last one.
        log: what the last one wrote on stderr, or else on stdout; None if it is not on this
            machine.
    """

    count: int
    fate: str
    reason: str
    trial_id: str
    log: Path | None


class _Problem(NamedTuple):
    fate: str
    reason: str
    trial_id: str


def problem_groups(results: Results) -> list[ProblemGroup]:
    """The ended trials without a result by their reasons, the most frequent first.

    Raises:
        ExperimentDatabaseError: if the experiment's database cannot be read.
    """
    groups: dict[tuple[str, str], list[_Problem]] = {}
    for problem in _problems(results):
        reason = problem.reason.replace(problem.trial_id, "ID")
        key = problem.fate, _NUMBER.sub("0", _CODES.sub("[[]]", reason))
        groups.setdefault(key, []).append(problem)
    largest = sorted(groups.values(), key=len, reverse=True)
    directory = results.experiment.directory
    return [ProblemGroup(len(group), *group[-1], _log(directory, group[-1])) for group in largest]


def _problems(results: Results) -> Iterator[_Problem]:
    experiment = results.experiment
    counted = {trial.trial_id for trial in results.trials}
    reported: dict[str, _Problem] = {}
    for fate, problems in (("unreadable", results.malformed), ("failed", results.failures)):
        reported |= {one.trial_id: _Problem(fate, one.reason, one.trial_id) for one in problems}
    reported = {name: problem for name, problem in reported.items() if name not in counted}
    for trial in _trials(experiment, counted):
        problem = reported.pop(trial.id, None)
        if problem is not None:
            yield problem
        elif trial.status in TRIAL_ENDED:
            fate, why = ended_silently(experiment, trial)
            if trial.status == FAILED:
                why = _last_line(_stderr(experiment, trial.id)) or why
            yield _Problem(fate, why, trial.id)
    yield from reported.values()


def _trials(experiment: Experiment, counted: set[str]) -> list[Trial]:
    """Those without a result; none if the database is not here."""
    if not database_in(experiment.directory).is_file():
        return []
    return read_trials(
        experiment.directory, with_log=True, with_parameters=False, leave_out=counted
    )


def _stderr(experiment: Experiment, trial_id: str) -> Path | None:
    return _written(experiment.directory, trial_id, "trial.stderr")


def _log(directory: Path, problem: _Problem) -> Path | None:
    paths = (
        _written(directory, problem.trial_id, f"trial.{name}") for name in ("stderr", "stdout")
    )
    return next((path for path in paths if path is not None and path.stat().st_size), None)


def _written(directory: Path, trial_id: str, name: str) -> Path | None:
    """A file in the folder of a local trial, if it is there."""
    return next(directory.glob(f"environments/*/trials/{escape(trial_id)}/{name}"), None)


def _last_line(path: Path | None) -> str | None:
    """The last line with text in it."""
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _END_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return None
    return next((line.strip()[:_LONGEST_LINE] for line in lines[::-1] if line.strip()), None)
