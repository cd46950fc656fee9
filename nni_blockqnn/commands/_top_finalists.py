"""The finalists that ``blockqnn top --output`` writes, and the configuration beside them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.commands._final_config import Written, write_config
from nni_blockqnn.commands._selection import Selection, is_within
from nni_blockqnn.common.messages import counted
from nni_blockqnn.exchange.finalists import Further, finalists_space, is_finalists, write_finalists
from nni_blockqnn.exchange.parameters import read_match
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.results.experiment import Experiment, TrialResult
from nni_blockqnn.space.match import Match
from nni_blockqnn.space.search_space import SearchSpace


class Finalists(NamedTuple):
    """What is trained long beside the selected results.

    Attributes:
        references: the hand-made blocks, too.
        more: further networks of the search, when their long trainings have shown something.
        again: the best so many from more seeds.
    """

    references: bool = False
    more: int = 0
    again: int = 0

    def further(self, search: Experiment) -> Further | None:
        """As the finalists' tuner is told of it."""
        if not self.more and not self.again:
            return None
        if not search.config.get("searchSpace") or is_finalists(search.config["searchSpace"]):
            raise ValueError(
                f"--more and --again go on with a search's results, and {search.id} is none"
            )
        place = str(search.directory) if search.is_elsewhere else search.id
        return Further(place, self.more, self.again)


def write_best(
    path: Path,
    search: Experiment,
    best: Sequence[TrialResult],
    selection: Selection,
    finalists: Finalists,
) -> None:
    """Write the file of finalists and, unless these are trained already, a configuration.

    Raises:
        ValueError: naming what there cannot be finalists of.
        OSError: if a file cannot be written.
    """
    further = finalists.further(search)
    search_space = search.config.get("searchSpace")
    network = selection.network or _network(search_space)
    spec = NetworkSpec.from_parameter(network)
    repeats = spec.repeats if selection.network else _repeats(best, selection.repeats)
    if not selection.network:  # at the cost of the search
        selection = replace(selection, match=_match(search))
    blocks = [result.block for result in best]
    if finalists.references:
        blocks += _references(spec.with_repeats(repeats), selection)
    match = selection.match and Match(*selection.match.target(spec.with_repeats(repeats)))
    space = finalists_space(blocks, repeats, network, *([match] if match else []))
    count = len(space["block"]["_value"])
    written = f"wrote {counted(count, 'block')} to {path}"
    if is_finalists(search_space) and not selection.network:  # these were trained to the end
        write_finalists(path, space)
        how = f"the winner on all data: blockqnn train {path} --rank 1 --validation test ..."
    else:
        config = write_config(path, search, network, count, further)
        write_finalists(path, space)
        written += f", and {config.path}, which trains them, N = {repeats}"
        if further is not None:
            written += f", and then goes on with {counted(further.trainings, 'training')}"
        how = _how_to_train(config)
    print(f"{written}\n{how}", file=sys.stderr)


def _how_to_train(config: Written) -> str:
    create = f"blockqnn create {shlex.quote(str(config.path))}"
    if config.is_kept:
        return (
            f"{config.path} was there: of it, only maxTrialNumber and what follows the finalists "
            f"have changed. Then: {create}"
        )
    if config.data.origin == "search":
        options = " ".join(config.data.options)
        return f"it trains on the search's data, {options}. Then: {create}"
    return f"give its trialCommand the data that you want, then: {create}"


def _references(spec: NetworkSpec, selection: Selection) -> list[Block]:
    """The hand-made blocks within the limits; prints the names of the others."""
    fitting = []
    for name, block in NAMED_BLOCKS.items():
        if is_within(block, spec, selection):
            fitting.append(block)
        else:
            why = "is over the limits" if selection.match is None else "cannot have this cost"
            print(f"{name} {why} and left out", file=sys.stderr)
    return fitting


def _match(search: Experiment) -> Match | None:
    """The cost of all networks of the search, or of an earlier file of finalists."""
    space = search.config.get("searchSpace")
    if isinstance(space, Mapping) and is_finalists(space):
        values = space["match"]["_value"] if "match" in space else [None]
        return None if values[0] is None else read_match(values[0])
    given = ((search.config.get("tuner") or {}).get("classArgs") or {}).get("match")
    if given is None:
        return None
    return Match(*Match.of(given).target_in(SearchSpace.from_json(space or {})))


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
