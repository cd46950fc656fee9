"""``blockqnn list`` and ``blockqnn stop``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping

from rich.table import Table

from nni_blockqnn.bridge.database import ExperimentDatabaseError
from nni_blockqnn.bridge.experiments import known_experiments
from nni_blockqnn.bridge.launch import LaunchError
from nni_blockqnn.bridge.managers import end_manager, find_manager
from nni_blockqnn.commands._console import TableConsole, width_of
from nni_blockqnn.commands._status_display import show_lines
from nni_blockqnn.common.messages import counted
from nni_blockqnn.results.experiment import (
    Experiment,
    find_experiment,
    is_of_blockqnn,
    read_results,
)
from nni_blockqnn.results.status import Status, read_status


def list(arguments: argparse.Namespace) -> int:  # noqa: A001, the command's name
    """Show this user's experiments, newest first. Those of other NNI projects are only counted."""
    console = TableConsole()
    statuses: dict[str, Status] = {}
    names: dict[str, str] = {}
    others, unreadable = 0, []
    for found in known_experiments():
        try:
            if isinstance(found, ExperimentDatabaseError):
                raise found
            if not is_of_blockqnn(found):
                others += 1
            else:
                statuses[found.id] = read_status(read_results(found))
                names[found.id] = found.name
        except ExperimentDatabaseError as error:
            unreadable.append(str(error))
    if arguments.json:
        _show_json(statuses, names, unreadable)
        return 0
    rows = {one: (names[one], *_progress(status)) for one, status in statuses.items()}
    if rows:
        _show_rows(rows, console)
    else:
        show_lines(["no experiment of blockqnn yet; start one: blockqnn demo"], console)
    show_lines(unreadable, console)
    if others:
        show_lines([f"{counted(others, 'other NNI experiment')}: nnictl experiment list"], console)
    return 0


def stop(arguments: argparse.Namespace) -> int:
    """Stop one experiment, which must be named; never any other."""
    experiment = find_experiment(arguments.experiment)
    if not is_of_blockqnn(experiment):
        raise ValueError(
            f"experiment {experiment.id} ({experiment.name or 'unnamed'}) is not one of blockqnn: "
            f"nnictl stop {experiment.id}"
        )
    manager = find_manager(experiment)
    if manager is None:
        print(f"experiment {experiment.id} does not run")
        return 0
    if not end_manager(manager):
        raise LaunchError(
            f"experiment {experiment.id} does not end: its manager, process {manager.pid}, still "
            f"runs; its log is {experiment.directory / 'log' / 'nnimanager.log'}"
        )
    results = read_results(find_experiment(str(experiment.directory)))
    print(f"experiment {experiment.id} is {read_status(results).text}; {_after(experiment)}")
    return 0


def _show_json(
    statuses: Mapping[str, Status], names: Mapping[str, str], unreadable: Iterable[str]
) -> None:
    records = [{"id": one, "name": names[one], **status.record} for one, status in statuses.items()]
    print(json.dumps(records, indent=1))
    for line in unreadable:
        print(line, file=sys.stderr)


def _after(experiment: Experiment) -> str:
    return f"go on later: blockqnn resume {experiment.argument}"


def _progress(status: Status) -> Iterator[str]:
    yield status.state
    yield f"{status.ended:,}" + ("" if status.planned is None else f" of {status.planned:,}")


def _show_rows(rows: dict[str, tuple[str, ...]], console: TableConsole) -> None:
    """As a table, or as a line each where the terminal is too narrow for it."""
    table = Table()
    for heading in ("ID", "name", "state", "trials done"):
        table.add_column(heading, no_wrap=True)
    for experiment_id, cells in rows.items():
        table.add_row(experiment_id, *cells)
    needed = width_of(table, console)
    if needed > console.width and console.has_width:
        show_lines([", ".join([one, *filter(None, cells)]) for one, cells in rows.items()], console)
        return
    console.width = max(console.width, needed)
    console.print(table)
