"""``blockqnn top``: the best blocks of an experiment, shown and as finalists of another one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.bridge.experiments import Experiment, find_experiment
from nni_blockqnn.bridge.statuses import STOPPED
from nni_blockqnn.commands._final_config import write_config
from nni_blockqnn.commands._top_display import show
from nni_blockqnn.exchange.finalists import (
    check_replaceable,
    finalists_space,
    is_finalists,
    write_finalists,
)
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.results.experiment import Results, TrialResult, distinct_best, read_results


def top(arguments: argparse.Namespace) -> int:
    _check_arguments(arguments)
    experiment = find_experiment(arguments.experiment)
    results = read_results(experiment)
    best = _best(results, arguments)
    title = f"{experiment.name} ({experiment.id})"
    if not best:
        is_table = arguments.format == "table"
        why_none = _why_none(results, arguments)
        print(f"{title}: {why_none}", file=sys.stdout if is_table else sys.stderr)
    show(best, arguments.format, title)
    _tell_of_others(results)
    if arguments.output is not None:
        if not best:
            raise ValueError(f"there are no finalists: {why_none}")
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


def _check_arguments(arguments: argparse.Namespace) -> None:
    if arguments.k < 1:
        raise ValueError(f"--k is how many to show, 1 or more, got {arguments.k}")
    if arguments.output is None and (arguments.references or arguments.network):
        raise ValueError(
            "--references and --network are of the finalists that --output FILE writes: add it, or "
            "leave them out"
        )
    if arguments.output is not None:
        check_replaceable(arguments.output)


def _best(results: Results, arguments: argparse.Namespace) -> list[TrialResult]:
    """Best first; with ``--network`` the limits are those of the networks that will be trained."""
    fitting = _of_repeats(results, arguments.repeats)
    limits = (arguments.max_params, arguments.max_flops)
    if not arguments.network:
        return distinct_best(fitting, arguments.k, arguments.by, *limits)
    spec = NetworkSpec.from_parameter(arguments.network)
    every = distinct_best(fitting, len(fitting.trials), arguments.by)
    within = (result for result in every if _is_within(result.block, spec, arguments))
    return list(islice(within, arguments.k))


def _is_within(block: Block, spec: NetworkSpec, arguments: argparse.Namespace) -> bool:
    if arguments.max_params is None and arguments.max_flops is None:
        return True
    cost = estimate_cost(block, spec)
    limited = ((cost.params, arguments.max_params), (cost.flops, arguments.max_flops))
    return all(highest is None or value <= highest for value, highest in limited)


def _of_repeats(results: Results, repeats: int | None) -> Results:
    """Those of that N; a trial that does not say its N may have had any."""
    if repeats is None:
        return results
    fitting = tuple(trial for trial in results.trials if trial.repeats in (repeats, None))
    return replace(results, trials=fitting)


def _why_none(results: Results, arguments: argparse.Namespace) -> str:
    count = len(results.trials)
    if not count:
        return "no results yet"
    counted = _counted(count, "result")
    if not _of_repeats(results, arguments.repeats).trials:
        found = sorted({trial.repeats for trial in results.trials if trial.repeats is not None})
        return f"{counted}, none with N = {arguments.repeats}, but with {found}"
    return f"{counted}, none within the limits"


def _counted(count: int, what: str) -> str:
    """'1 block' or '2 blocks'."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _tell_of_others(results: Results) -> None:
    for problems, what in ((results.failures, "failed"), (results.malformed, "are unreadable")):
        if problems:
            print(f"{len(problems)} {what}, the last one: {problems[-1]}", file=sys.stderr)
    stopped = sum(results.statuses.get(status, 0) for status in STOPPED)
    if stopped:
        print(
            f"{stopped} were stopped (by an assessor, a user or a kill) and rank only if they had "
            "reported a result",
            file=sys.stderr,
        )


def _write_finalists(
    experiment: Experiment, best: Sequence[TrialResult], arguments: argparse.Namespace
) -> None:
    search_space = experiment.config.get("searchSpace")
    network = arguments.network or _network(search_space)
    spec = NetworkSpec.from_parameter(network)
    repeats = spec.repeats if arguments.network else _repeats(best, arguments.repeats)
    blocks = [result.block for result in best]
    if arguments.references:
        blocks += _references(spec.with_repeats(repeats), arguments)
    space = finalists_space(blocks, repeats, network)
    path, count = arguments.output, len(space["block"]["_value"])
    written = f"wrote {_counted(count, 'block')} to {path}"
    if is_finalists(search_space) and not arguments.network:  # these were trained to the end
        write_finalists(path, space)
        how = f"the winner on all data: blockqnn train {path} --rank 1 --validation test ..."
    else:
        config = write_config(path, network, count)
        write_finalists(path, space)
        written += f", and {config}, which trains them, N = {repeats}"
        how = f"give its trialCommand the data that you want, then: blockqnn create {config}"
    print(f"{written}\n{how}", file=sys.stderr)


def _references(spec: NetworkSpec, arguments: argparse.Namespace) -> list[Block]:
    """The hand-made blocks within the limits; of the others it is said that they are left out."""
    fitting = []
    for name, block in NAMED_BLOCKS.items():
        if _is_within(block, spec, arguments):
            fitting.append(block)
        else:
            print(f"{name} is over the limits and left out", file=sys.stderr)
    return fitting


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
