"""Finalists: the best blocks of a search, as the search space of a second NNI experiment.

It has the keys of a search, ``block``, ``repeats`` and ``network``, but all of them are ordinary
choices of NNI. It also has ``space`` if the blocks have other kernels than the paper's, extra kinds
of layers, or another encoding than "pcc", and ``match`` if their filters are scaled to a cost:
a grid could not pair blocks with widths. :class:`~nni_blockqnn.finalists_tuner.FinalistsTuner`
hands out each block once, and then what :class:`Further` asks for.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.common.checks import checked_integer
from nni_blockqnn.common.files import write_whole
from nni_blockqnn.common.json_text import read_json
from nni_blockqnn.common.messages import shown
from nni_blockqnn.exchange.parameters import TrialTask, read_match, read_task, space_parameter
from nni_blockqnn.space.match import Match

_EXAMPLES = {
    "block": '["[[1,1,3,0,0]]"]',
    "repeats": "[4]",
    "network": '["cifar100"]',
    "match": '["{\\"flops\\": 40000000}"]',
}
_KEYS = ("block", "repeats", "network", "match", "space")
FINALISTS_TUNER = "nni_blockqnn.finalists_tuner.FinalistsTuner"
MOST_FURTHER = 1_000
"""Networks or seeds."""


class Further(NamedTuple):
    """What is trained after the finalists, as ``classArgs`` of their tuner name it.

    Attributes:
        search: the ID of the experiment whose results the finalists are of, or its folder.
        more: further networks of the search, chosen by what the long trainings let expect.
        again: the best so many of all are trained again.
        seeds: trainings of each of these, the first one included.
    """

    search: str
    more: int = 0
    again: int = 0
    seeds: int = 3

    @classmethod
    def of(cls, class_args: Any) -> Further | None:
        """Checked ``classArgs``; ``None`` if there are none.

        Raises:
            ValueError: naming the argument, its value and what is allowed.
        """
        given = {} if class_args is None else class_args
        if not isinstance(given, Mapping):
            raise ValueError(f"classArgs must be an object, got {shown(class_args)}")
        if unknown := sorted(set(map(str, given)) - set(cls._fields)):
            raise ValueError(f"{unknown[0]} is none of its arguments: {', '.join(cls._fields)}")
        if not given:
            return None
        if not isinstance(search := given.get("search"), str) or not search:
            raise ValueError(
                "search must be the ID of the experiment whose blocks are trained, got "
                f"{shown(search)}"
            )
        lowest = {"more": 0, "again": 0, "seeds": 2}
        numbers = {
            name: checked_integer(name, given[name], lowest[name], MOST_FURTHER)
            for name in lowest
            if name in given
        }
        return cls(search, **numbers)

    @property
    def trainings(self) -> int:
        """Those beside one of each finalist."""
        return self.more + self.again * (self.seeds - 1)


def finalists_space(
    blocks: Sequence[Block], repeats: int, network: str, *matches: Match
) -> dict[str, Any]:
    """NNI's search space of these blocks, in their order, each ``Block.key`` once.

    Args:
        blocks: at least one, best first.
        repeats: the N of all their networks.
        network: a preset's name or JSON text of NetworkSpec's fields.
        matches: what each network costs, by its filters; none for the filters of the network.
            Each block gets a network of each cost, of several costs each that it can come to.
    """
    distinct: dict[str, str] = {}
    for block in blocks:
        distinct.setdefault(block.key, block.to_json())
    values: dict[str, list[Any]] = {
        "block": [*distinct.values()],
        "repeats": [repeats],
        "network": [network],
    }
    if matches:
        values["match"] = [match.to_json() for match in matches]
    extra_kinds = sorted({name for block in blocks for name in block.extra_kinds})
    values |= {name: [text] for name, text in space_parameter(extra_kinds).items()}
    return {name: {"_type": "choice", "_value": choices} for name, choices in values.items()}


def is_finalists(search_space: Any) -> bool:
    """Whether the blocks of NNI's search space are ordinary choices."""
    entry = search_space.get("block") if isinstance(search_space, Mapping) else None
    return isinstance(entry, Mapping) and entry.get("_type") == "choice"


def grid_of(search_space: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The parameters of each trial, in the order in which they are sent.

    Where there are several costs, a block is left out at those to which it cannot come.

    Raises:
        ValueError: naming the key whose value is not a list of choices, or what is wrong with a
            block that is to be matched to several costs.
    """
    names = [*search_space]
    choices = {name: _choices(search_space, name) for name in names}
    is_open = len(choices.get("match", ())) > 1
    for values in itertools.product(*choices.values()):
        parameters = dict(zip(names, values, strict=True))
        if not is_open or _comes_to_cost(parameters):
            yield parameters


def _comes_to_cost(parameters: Mapping[str, Any]) -> bool:
    match = read_match(parameters["match"])
    task = read_task({name: value for name, value in parameters.items() if name != "match"})
    try:
        match.network(task.block, task.spec)
    except ValueError:
        return False
    return True


def finalist_tasks(search_space: Mapping[str, Any]) -> list[TrialTask]:
    """What each trial of the grid trains.

    Raises:
        ValueError: naming the trial and what is wrong with its parameters.
    """
    tasks = []
    for number, parameters in enumerate(grid_of(search_space), 1):
        try:
            tasks.append(read_task(parameters))
        except ValueError as error:
            raise ValueError(f"trial {number} of the grid: {error}") from None
    return tasks


def check_grid(
    search_space: Mapping[str, Any], trials: int | None, further: Further | None = None
) -> tuple[Literal["ok", "warning", "failure"], str]:
    """How a check of the grid ends: "ok", "warning" or "failure", and a message.

    Args:
        trials: the experiment's maxTrialNumber.
        further: what is trained after the grid.
    """
    try:
        grid = len(finalist_tasks(search_space))
        if further is not None:
            shared_parameters(search_space)
    except ValueError as error:
        return "failure", str(error)
    count = grid + (further.trainings if further is not None else 0)
    if trials is not None and trials > count:
        return "warning", (
            f"there are {count}, but maxTrialNumber is {trials}: the experiment will not "
            f"end by itself; write maxTrialNumber: {count}"
        )
    if trials is not None and trials < count:
        return "warning", (
            f"maxTrialNumber is {trials}: {count - trials} will not be trained; write "
            f"maxTrialNumber: {count}"
        )
    if further is None:
        return "ok", f"all {grid} can be built"
    return "ok", f"all {grid} can be built, and {further.trainings} trainings follow"


def shared_parameters(search_space: Mapping[str, Any]) -> dict[str, Any]:
    """What the trials of a grid have in common: all but the block.

    Raises:
        ValueError: naming what has several values, or is not a list of choices.
    """
    shared = {}
    for name in search_space:
        values = _choices(search_space, name)
        if name != "block" and len(values) > 1:
            raise ValueError(
                f"{name} has {len(values)} values, {shown(values)}; with classArgs.search it must "
                "have one"
            )
        shared[name] = values[0]
    shared.pop("block", None)
    return shared


def network_of_grid(search_space: Mapping[str, Any]) -> str:
    """The network of the grid's first trial.

    Raises:
        ValueError: if the search space has no networks.
    """
    if "network" not in search_space:
        raise ValueError('the search space has no "network"')
    return _choices(search_space, "network")[0]


def read_finalist(path: Path, rank: int) -> dict[str, Any]:
    """The parameters that would train one block of a file of finalists, with its first N.

    Args:
        rank: the block's position in the file, from 1.

    Raises:
        ValueError: naming the file and what is wrong with it.
        OSError: if it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except ValueError as error:  # no UTF-8
        raise ValueError(_no_finalists(str(path), error)) from None
    return finalist_in(text, str(path), rank)


def finalist_in(text: str, place: str, rank: int) -> dict[str, Any]:
    """The same of the text of such a file.

    Args:
        place: what messages call it.

    Raises:
        ValueError: naming the place and what is wrong with the text.
    """
    try:
        space = read_json(text)
        if not is_finalists(space):
            raise ValueError(
                f'its "block" must be {{"_type": "choice", "_value": {_EXAMPLES["block"]}}}, with '
                f"the blocks, got {shown(space)}"
            )
        choices = {name: _choices(space, name) for name in _KEYS if name in space}
    except ValueError as error:
        raise ValueError(_no_finalists(place, error)) from None
    blocks = choices["block"]
    if not 1 <= rank <= len(blocks):
        held = "one block" if len(blocks) == 1 else f"{len(blocks)} blocks"
        raise ValueError(f"rank must be from 1 to {len(blocks)}: {place} holds {held}, got {rank}")
    return {name: values[0] for name, values in choices.items()} | {"block": blocks[rank - 1]}


def _no_finalists(place: str, error: ValueError) -> str:
    return f"{place} is not a file of finalists (blockqnn top --output): {error}"


def check_replaceable(path: Path) -> None:
    """Check that writing the file destroys nothing but finalists.

    Raises:
        ValueError: if there is a file of another kind.
        OSError: if it cannot be read.
    """
    if not path.exists():
        return
    try:
        read_finalist(path, 1)
    except ValueError as error:
        raise ValueError(
            f"{error}: it is not overwritten; name another file with --output"
        ) from None


def write_finalists(path: Path, space: Mapping[str, Any]) -> None:
    """Write a search space of finalists to a file.

    Raises:
        OSError: if it cannot be written; the file keeps its old content then.
    """
    write_whole(path, json.dumps(space, indent=1) + "\n")


def _choices(search_space: Mapping[str, Any], name: str) -> list[Any]:
    entry = search_space[name]
    values = entry.get("_value") if isinstance(entry, Mapping) else None
    if not isinstance(values, list) or not values or entry.get("_type") != "choice":
        raise ValueError(
            f'{name} must be {{"_type": "choice", "_value": {_EXAMPLES.get(name, "[1]")}}}, with '
            f"at least one value, got {shown(entry)}"
        )
    return values
