"""``blockqnn top``: the best blocks of an experiment, shown and as finalists of another one."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nni_blockqnn.commands.final_config import write_config
from nni_blockqnn.commands.finalists import finalists_space, is_finalists, write_finalists
from nni_blockqnn.experiments import (
    Experiment,
    Results,
    TrialResult,
    distinct_best,
    find_experiment,
    read_results,
)
from nni_blockqnn.named_blocks import NAMED_BLOCKS
from nni_blockqnn.network_spec import NetworkSpec

_COLUMNS = ("episode", "reward", "accuracy", "flops", "params", "density", "repeats")
_STOPPED = ("USER_CANCELED", "SYS_CANCELED", "EARLY_STOPPED")


def top(arguments: argparse.Namespace) -> int:
    experiment = find_experiment(arguments.experiment)
    results = read_results(experiment)
    best = distinct_best(
        _of_repeats(results, arguments.repeats),
        arguments.k,
        arguments.by,
        arguments.max_params,
        arguments.max_flops,
    )
    if arguments.format == "json":
        print(json.dumps([_record(result) for result in best], indent=1))
    elif arguments.format == "csv":
        writer = csv.DictWriter(sys.stdout, [*_COLUMNS, "block", "encoding", "network_folder"])
        writer.writeheader()
        writer.writerows(_record(result) for result in best)
    else:
        _show_table(f"{experiment.name} ({experiment.id})", best)
    _tell_of_others(results)
    if arguments.output is not None:
        _write_finalists(experiment, best, arguments)
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--k", type=int, default=10, help="how many (default: %(default)s)")
    parser.add_argument("--by", choices=("reward", "accuracy"), default="reward")
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table")
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
        "--network",
        help="that they are trained in: preset or JSON of NetworkSpec's fields, its N included "
        "(default: the experiment's, with the N of the results)",
    )


def _of_repeats(results: Results, repeats: int | None) -> Results:
    """Those of that N; a trial that does not say its N may have had any."""
    if repeats is None:
        return results
    fitting = tuple(trial for trial in results.trials if trial.repeats in (repeats, None))
    return replace(results, trials=fitting)


def _tell_of_others(results: Results) -> None:
    for problems, what in ((results.failures, "failed"), (results.malformed, "are unreadable")):
        if problems:
            print(f"{len(problems)} {what}, the last one: {problems[-1]}", file=sys.stderr)
    stopped = sum(results.statuses.get(status, 0) for status in _STOPPED)
    if stopped:
        print(
            f"{stopped} were stopped (by an assessor, a user or a kill) and rank only if they had "
            "reported a result",
            file=sys.stderr,
        )


def _write_finalists(
    experiment: Experiment, best: Sequence[TrialResult], arguments: argparse.Namespace
) -> None:
    if not best:
        raise ValueError("there are no finalists: no result, or none within the limits")
    search_space = experiment.config.get("searchSpace")
    network = arguments.network or _network(search_space)
    spec = NetworkSpec.from_parameter(network)
    repeats = spec.repeats if arguments.network else _repeats(best, arguments.repeats)
    blocks = [result.block for result in best]
    if arguments.references:
        blocks += NAMED_BLOCKS.values()
    space = finalists_space(blocks, repeats, network)
    path, count = arguments.output, len(space["block"]["_value"])
    written = f"wrote {count} blocks to {path}"
    if is_finalists(search_space) and not arguments.network:  # these were trained to the end
        write_finalists(path, space)
        how = f"the winner on all data: blockqnn train {path} --rank 1 --validation test ..."
    else:
        config = write_config(path, network, count)
        write_finalists(path, space)
        written += f", and {config}, which trains them, N = {repeats}"
        how = f"give its trialCommand the data that you want, then: blockqnn create {config}"
    print(f"{written}\n{how}", file=sys.stderr)


def _network(search_space: Any) -> str:
    entry = search_space.get("network") if isinstance(search_space, Mapping) else None
    values = entry.get("_value") if isinstance(entry, Mapping) else None
    if not isinstance(values, list) or len(values) != 1:
        raise ValueError(
            "the experiment's search space does not say in which network its blocks were trained; "
            "name one with --network"
        )
    return values[0]


def _repeats(best: Sequence[TrialResult], asked: int | None) -> int:
    found = {result.repeats for result in best if result.repeats is not None}
    if asked is not None:
        return asked
    if len(found) == 1:
        return found.pop()
    raise ValueError(
        f"the finalists' networks have N = {sorted(found) or 'unknown'}, and a grid would train "
        "each block at each N: choose one with --repeats"
    )


def _record(result: TrialResult) -> dict[str, Any]:
    values = {name: getattr(result, name) for name in _COLUMNS}
    return values | {
        "block": result.block.to_json(),
        "encoding": result.block.encoding,
        "network_folder": result.metric.get("network_folder"),
    }


def _show_table(title: str, best: Sequence[TrialResult]) -> None:
    console = Console(highlight=False)
    if not best:
        console.print(f"{title}: no results yet", markup=False)
        return
    table = Table(title=escape(title), title_justify="left")
    for heading in ("#", "episode", "reward", "accuracy %", "MFLOPs", "params", "layers", "N"):
        table.add_column(heading, justify="right")
    for place, result in enumerate(best, 1):
        table.add_row(
            str(place),
            str(result.episode),
            f"{result.reward:.2f}",
            f"{result.accuracy:.2f}",
            f"{result.flops / 1e6:.2f}",
            "?" if result.params is None else f"{result.params:,}",
            str(len(result.block.layers)),
            str(result.repeats or "?"),
        )
    console.print(table)
    # outside the table, whose folded cells could not be copied
    for place, result in enumerate(best, 1):
        console.print(f"{place:>3}  {result.block.to_json()}", markup=False, soft_wrap=True)
