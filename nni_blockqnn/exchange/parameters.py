"""A trial's parameters: what the tuner sends and the trial reads."""

from __future__ import annotations

import json
import numbers
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nni_blockqnn.blocks.block import Block, parse_block
from nni_blockqnn.common.checks import checked_integer
from nni_blockqnn.common.json_text import read_json
from nni_blockqnn.common.messages import shown
from nni_blockqnn.network.spec import WIDTH_LIMIT, NetworkSpec
from nni_blockqnn.space.match import Match
from nni_blockqnn.space.search_space import SearchSpace

if TYPE_CHECKING:
    from nni_blockqnn.q_learning.search import Suggestion


class TrialTask(NamedTuple):
    """What a trial is to train.

    Attributes:
        episode: the tuner's number; ``None`` outside a search.
        repetition: how often the network was trained before. It is added to the seed of the
            training, so that another training tells something new.
        width: filters of the first stage, already in the spec; ``None`` if the parameters leave
            them to the network.
    """

    block: Block
    spec: NetworkSpec
    episode: int | None
    repetition: int = 0
    width: int | None = None


def trial_parameters(space: SearchSpace, suggestion: Suggestion) -> dict[str, Any]:
    """A suggestion as NNI sends it.

    ``block`` is JSON text, since NNI's web UI mangles nested lists. ``space`` is there only if the
    search space has extra kinds of layers, which a trial has to import, or another encoding than
    "pcc".
    """
    parameters = {
        "block": suggestion.block.to_json(),
        "repeats": suggestion.repeats,
        "network": space.network,
        "episode": suggestion.episode,
    }
    if suggestion.width is not None:
        parameters["width"] = suggestion.width
    if suggestion.repetition:
        parameters["repetition"] = suggestion.repetition
    return parameters | space_parameter(space.extra_kinds, space.encoding)


def space_parameter(extra_kinds: Sequence[str], encoding: str = "pcc") -> dict[str, str]:
    """The parameter ``space``, or nothing if the trial needs none."""
    fields: dict[str, Any] = {}
    if encoding != "pcc":
        fields["encoding"] = encoding
    if extra_kinds:
        fields["extra_kinds"] = extra_kinds
    return {"space": json.dumps(fields)} if fields else {}


def read_task(parameters: Any) -> TrialTask:
    """The reverse of :func:`trial_parameters`, for parameters from wherever.

    Raises:
        ValueError: naming what is missing or wrong.
    """
    if not isinstance(parameters, Mapping) or "block" not in parameters:
        raise ValueError(
            'the trial\'s parameters must be an object with a "block"; is the tuner BlockQNN? '
            f"Got {shown(parameters)}"
        )
    space = _space(parameters.get("space", "{}"))  # which imports its extra kinds
    block = parse_block(parameters["block"], space.encoding)
    spec = NetworkSpec.from_parameter(
        parameters.get("network", "cifar100"), parameters.get("repeats")
    )
    width, match = parameters.get("width"), parameters.get("match")
    if width is not None:
        spec = spec.with_width(checked_integer("width", width, 1, WIDTH_LIMIT))
    elif match is not None:
        spec = read_match(match).network(block, spec)
        width = spec.filters[0]
    repetition = checked_integer("repetition", parameters.get("repetition", 0), 0, 2**31)
    return TrialTask(block, spec, _episode(parameters.get("episode")), repetition, width)


def read_match(match: Any) -> Match:
    """A cost as :func:`trial_parameters` or finalists name it, an object or its JSON text.

    Raises:
        ValueError: naming the value and what is allowed.
    """
    if isinstance(match, str):
        try:
            match = read_json(match)
        except ValueError as error:
            raise ValueError(f"match is no JSON text: {error}, got {shown(match)}") from None
    return Match.of(match)


def _episode(value: Any) -> int | None:
    valid = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if value is not None and not valid:
        raise ValueError(f"episode must be an integer, got {shown(value)}")
    return value


def _space(fields: Any) -> SearchSpace:
    try:
        value = json.loads(fields)
    except (TypeError, ValueError, RecursionError):
        raise ValueError(f"space must be JSON text of an object, got {shown(fields)}") from None
    entry = {"_type": "nsc", "_value": value}
    return SearchSpace.from_json({"block": entry})
