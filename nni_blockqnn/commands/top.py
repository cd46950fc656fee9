"""``blockqnn top``: the best blocks of an experiment, shown and as finalists of another one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import NAMED_BLOCKS
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
from nni_blockqnn.results.experiment import (
    Results,
    TrialResult,
    distinct_best,
    find_experiment,
    read_results,
)


@dataclass(frozen=True)
class _Selection:
    """Which results are wanted.

    Attributes:
        k: at most so many.
        max_params: of the network's weights; None for any number.
        max_flops: of the network's multiply-accumulates; None for any number.
        repeats: the network's N; None for any.
        network: what finalists will be trained in: a preset's name or JSON text of NetworkSpec's
            fields. The limits are of that network then. None: the network of the experiment.
    """

    k: int
    by: Literal["reward", "accuracy"]
    max_params: int | None
    max_flops: int | None
    repeats: int | None
    network: str | None


def top(arguments: argparse.Namespace) -> int:
    output: Path | None = arguments.output
    selection = _Selection(
        arguments.k,
        arguments.by,
        arguments.max_params,
        arguments.max_flops,
        arguments.repeats,
        arguments.network,
    )
    _check_options(selection, output, arguments.references)
    experiment = find_experiment(arguments.experiment)
    results = read_results(experiment)
    best = _best(results, selection)
    title = f"{experiment.name} ({experiment.id})"
    if not best:
        why_none = _why_none(results, selection)
        is_table = arguments.format == "table"
        print(f"{title}: {why_none}", file=sys.stdout if is_table else sys.stderr)
    show(best, arguments.format, title)
    _tell_of_others(results)
    if output is not None:
        if not best:
            raise ValueError(f"there are no finalists: {why_none}")
        search_space = experiment.config.get("searchSpace")
        _write_finalists(output, search_space, best, selection, arguments.references)
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


def _check_options(selection: _Selection, output: Path | None, references: bool) -> None:
    if selection.k < 1:
        raise ValueError(f"--k is how many to show, 1 or more, got {selection.k}")
    if output is None and (references or selection.network):
        raise ValueError(
            "--references and --network are of the finalists that --output FILE writes: add it, or "
            "leave them out"
        )
    if output is not None:
        check_replaceable(output)


def _best(results: Results, selection: _Selection) -> list[TrialResult]:
    """The selected results, best first."""
    fitting = _of_repeats(results, selection.repeats)
    limits = (selection.max_params, selection.max_flops)
    if not selection.network:
        return distinct_best(fitting, selection.k, selection.by, *limits)
    spec = NetworkSpec.from_parameter(selection.network)
    every = distinct_best(fitting, len(fitting.trials), selection.by)
    within = (result for result in every if _is_within(result.block, spec, selection))
    return list(islice(within, selection.k))


def _is_within(block: Block, spec: NetworkSpec, selection: _Selection) -> bool:
    if selection.max_params is None and selection.max_flops is None:
        return True
    cost = estimate_cost(block, spec)
    limited = ((cost.params, selection.max_params), (cost.flops, selection.max_flops))
    return all(highest is None or value <= highest for value, highest in limited)


def _of_repeats(results: Results, repeats: int | None) -> Results:
    """The results of that N; a trial that does not report its N may have had any."""
    if repeats is None:
        return results
    fitting = tuple(trial for trial in results.trials if trial.repeats in (repeats, None))
    return replace(results, trials=fitting)


def _why_none(results: Results, selection: _Selection) -> str:
    count = len(results.trials)
    if not count:
        return "no results yet"
    counted = _counted(count, "result")
    if not _of_repeats(results, selection.repeats).trials:
        found = sorted({trial.repeats for trial in results.trials if trial.repeats is not None})
        return f"{counted}, none with N = {selection.repeats}, but with {found}"
    return f"{counted}, none within the limits"


def _counted(count: int, what: str) -> str:
    """'1 block' or '2 blocks'."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _tell_of_others(results: Results) -> None:
    """Say on stderr how many trials have no result, and why the last one has none."""
    for problems, what, happened in (
        (results.failures, "trial", "failed"),
        (results.malformed, "metric", "could not be read"),
    ):
        if problems:
            last = problems[-1]
            print(
                f"{_counted(len(problems), what)} {happened}, the last one: "
                f"trial {last.trial_id}: {last.reason}",
                file=sys.stderr,
            )
    stopped = sum(results.statuses.get(status, 0) for status in STOPPED)
    if stopped:
        print(
            f"{stopped} were stopped (by an assessor, a user or a kill) and rank only if they had "
            "reported a result",
            file=sys.stderr,
        )


def _write_finalists(
    path: Path,
    search_space: Any,
    best: Sequence[TrialResult],
    selection: _Selection,
    with_references: bool,
) -> None:
    """Write the file of finalists and, unless these are trained already, a configuration."""
    network = selection.network or _network(search_space)
    spec = NetworkSpec.from_parameter(network)
    repeats = spec.repeats if selection.network else _repeats(best, selection.repeats)
    blocks = [result.block for result in best]
    if with_references:
        blocks += _references(spec.with_repeats(repeats), selection)
    space = finalists_space(blocks, repeats, network)
    count = len(space["block"]["_value"])
    written = f"wrote {_counted(count, 'block')} to {path}"
    if is_finalists(search_space) and not selection.network:  # these were trained to the end
        write_finalists(path, space)
        how = f"the winner on all data: blockqnn train {path} --rank 1 --validation test ..."
    else:
        config = write_config(path, network, count)
        write_finalists(path, space)
        written += f", and {config}, which trains them, N = {repeats}"
        how = f"give its trialCommand the data that you want, then: blockqnn create {config}"
    print(f"{written}\n{how}", file=sys.stderr)


def _references(spec: NetworkSpec, selection: _Selection) -> list[Block]:
    """The hand-made blocks within the limits; prints the names of the others."""
    fitting = []
    for name, block in NAMED_BLOCKS.items():
        if _is_within(block, spec, selection):
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
