"""``blockqnn top``: the best blocks of an experiment, shown and as finalists of another one."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from nni_blockqnn.commands._console import TableConsole
from nni_blockqnn.commands._match_argument import MATCH_HELP, match_argument
from nni_blockqnn.commands._selection import Selection, best_results, why_none
from nni_blockqnn.commands._status_display import (
    problem_lines,
    show_lines,
    show_next,
    status_line,
)
from nni_blockqnn.commands._top_display import (
    records,
    show_codes,
    show_csv,
    show_json,
    show_table,
)
from nni_blockqnn.commands._top_finalists import Finalists, write_best
from nni_blockqnn.common.checks import checked_integer
from nni_blockqnn.common.closed_pipe import reader_may_go
from nni_blockqnn.common.garbage import collection_paused
from nni_blockqnn.exchange.finalists import MOST_FURTHER, check_replaceable
from nni_blockqnn.results.experiment import (
    RANKINGS,
    Experiment,
    Results,
    TrialResult,
    find_experiment,
    read_results,
)
from nni_blockqnn.results.problems import problem_groups
from nni_blockqnn.results.status import Status, read_status

_WATCH_SECONDS = 5.0


def top(arguments: argparse.Namespace) -> int:
    output: Path | None = arguments.output
    selection = Selection(
        arguments.k,
        arguments.by,
        arguments.max_params,
        arguments.max_flops,
        arguments.repeats,
        arguments.network,
        arguments.match,
        arguments.varied,
        read_results(find_experiment(arguments.finals)) if arguments.finals else None,
    )
    finalists = Finalists(arguments.references, arguments.more, arguments.again)
    _check_options(selection, finalists, output)
    if arguments.watch:
        if output is not None or arguments.format != "table" or arguments.json:
            raise ValueError("--watch follows the table: leave --output, --format and --json out")
        return _watch(find_experiment(arguments.experiment), selection)
    with collection_paused():
        results = read_results(find_experiment(arguments.experiment))
        best = best_results(results, selection)
        with reader_may_go():  # the finalists are written all the same
            if arguments.json:
                _show_object(results, best)
            else:
                _show(results, best, selection, arguments.format)
    if output is not None:
        if not best:
            raise ValueError(f"there are no finalists: {why_none(results, selection)}")
        write_best(output, results.experiment, best, selection, finalists)
    return 0


def _show(results: Results, best: Sequence[TrialResult], selection: Selection, form: str) -> None:
    if form == "table":
        _show_all(results, best, selection, TableConsole())
        return
    if not best:
        print(f"{_title(results)}: {why_none(results, selection)}", file=sys.stderr)
    (show_json if form == "json" else show_csv)(best)
    for line in problem_lines(results):
        print(line, file=sys.stderr)


def _show_object(results: Results, best: Sequence[TrialResult]) -> None:
    """All that the table shows."""
    experiment = results.experiment
    problems = [
        {"count": group.count, "what": group.fate, "reason": group.reason, "trial": group.trial_id}
        for group in problem_groups(results)
    ]
    found = {"id": experiment.id, "name": experiment.name, **read_status(results).record}
    print(json.dumps(found | {"problems": problems, "best": records(best)}, indent=1))


def _show_all(
    results: Results,
    best: Sequence[TrialResult],
    selection: Selection,
    console: TableConsole,
    *,
    with_codes: bool = True,
) -> Status:
    """The whole picture of an experiment; returns how it stands."""
    status = read_status(results)
    show_lines([_title(results), status_line(results, status), *problem_lines(results)], console)
    if best:
        show_table(best, console)
        if with_codes:
            show_codes(best, console)
    else:
        show_lines([why_none(results, selection)], console)
    show_next(results, status, console)
    return status


def _watch(experiment: Experiment, selection: Selection) -> int:
    """Show the table again and again until the experiment is over, or until Ctrl-C.

    Where the output is no terminal, its status is a line each time it has changed.
    """
    console, last = TableConsole(), ""
    try:
        while True:
            results = read_results(experiment)
            best = best_results(results, selection)
            status = read_status(results)
            if console.is_terminal:
                console.clear()
                _show_all(results, best, selection, console, with_codes=status.is_over)
            elif status.text != last:
                show_lines([status_line(results, status)], console)
                last = status.text
            if status.is_over:
                return 0
            time.sleep(_WATCH_SECONDS)
            experiment = find_experiment(str(experiment.directory))  # its status has changed
    except KeyboardInterrupt:
        console.print("\nThe experiment goes on.")
        return 0


def _title(results: Results) -> str:
    experiment = results.experiment
    return f"{experiment.name or 'unnamed'} ({experiment.id})"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--k", type=int, default=10, help="how many (default: %(default)s)")
    parser.add_argument(
        "--by",
        choices=RANKINGS,
        help="expected is what a predictor expects of the network, all results considered, so that "
        "the luckiest does not win (default: expected if the search has a predictor, or reward)",
    )
    parser.add_argument(
        "--varied",
        action="store_true",
        help="the best of each family of blocks first: what is alike differs little in the end",
    )
    parser.add_argument(
        "--finals",
        metavar="ID",
        help="an experiment that trained some of these blocks long: show the others by what a long "
        "training of each may be expected to bring (column expected: its accuracy)",
    )
    parser.add_argument(
        "--format",
        choices=("table", "json", "csv"),
        default="table",
        help="json and csv are of the best blocks alone (default: %(default)s)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="for scripts: one JSON object of how the experiment stands, its problems and the best",
    )
    parser.add_argument(
        "--watch", action="store_true", help="show it again and again until it is over, or Ctrl-C"
    )
    parser.add_argument("--max-params", type=int, help="only networks of at most so many weights")
    parser.add_argument("--max-flops", type=int, help="only networks of at most so many FLOPs")
    parser.add_argument("--repeats", type=int, help="only networks of this N")
    group = parser.add_argument_group("finalists, for config_templates/train_top_*.yml")
    group.add_argument(
        "--output",
        type=Path,
        help="also write them to this file, as the search space of a second experiment, and that "
        "experiment's configuration beside it (.yml)",
    )
    group.add_argument(
        "--references",
        action="store_true",
        help="add the hand-made blocks of the paper's Fig. 2, to compare with",
    )
    group.add_argument(
        "--more",
        type=int,
        default=0,
        metavar="K",
        help="then train so many other networks of the search, chosen by what the finalists' long "
        "trainings let expect of them (default: %(default)s)",
    )
    group.add_argument(
        "--again",
        type=int,
        default=0,
        metavar="K",
        help="and the best so many from two more seeds, for one training may be a lucky one "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--network",
        help="that they are trained in: preset or JSON of NetworkSpec's fields, its N included "
        "(default: the experiment's, with the N of the results)",
    )
    group.add_argument(
        "--match",
        type=match_argument,
        metavar="MEASURE=N",
        help=f"scale the filters of that --network to this cost, {MATCH_HELP} (default: a search "
        "at equal cost keeps its own in its own network)",
    )


def _check_options(selection: Selection, finalists: Finalists, output: Path | None) -> None:
    if selection.k < 1:
        raise ValueError(f"--k is how many to show, 1 or more, got {selection.k}")
    for name in ("more", "again"):
        checked_integer(f"--{name}", getattr(finalists, name), 0, MOST_FURTHER)
    if output is None and (finalists != Finalists() or selection.network):
        raise ValueError(
            "--references, --more, --again and --network are of the finalists that --output FILE "
            "writes: add it, or leave them out"
        )
    if selection.match is not None and not selection.network:
        raise ValueError(
            "--match is a cost in another network than the search's: name that with --network"
        )
    if output is not None:
        check_replaceable(output)
