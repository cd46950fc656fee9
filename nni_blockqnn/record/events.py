"""The events of a search as the journal keeps them: what was suggested and what counted."""

from __future__ import annotations

import json
import logging
from functools import lru_cache
from typing import Any

from nni_blockqnn.blocks.block import Block, parse_block
from nni_blockqnn.q_learning.failures import Failure
from nni_blockqnn.q_learning.replay import Experience
from nni_blockqnn.q_learning.search import BlockSearch, Result, Suggestion

_logger = logging.getLogger(__name__)


def suggestion_event(suggestion: Suggestion) -> dict[str, Any]:
    event = {
        "event": "suggestion",
        "episode": suggestion.episode,
        **_coded(suggestion.block),
        "repeats": suggestion.repeats,
        "epsilon": suggestion.epsilon,
        "recalled": [
            [experience.block.to_json(), experience.repeats, experience.reward]
            for experience in suggestion.recalled
        ],
    }
    seldom = {
        "width": suggestion.width,
        "repetition": suggestion.repetition,
        "start": suggestion.is_start,
    }
    return event | {name: value for name, value in seldom.items() if value}


def result_event(result: Result) -> dict[str, Any]:
    return {
        "event": "result",
        "episode": result.episode,
        **_coded(result.block),
        "repeats": result.repeats,
        "reward": result.reward,
        "metric": {name: v for name, v in result.metric.items() if _is_plain(name, v)},
    }


def failure_event(failure: Failure) -> dict[str, Any]:
    return {
        "event": "failure",
        "episode": failure.episode,
        **_coded(failure.block),
        "reason": failure.reason,
        "of_block": failure.of_block,
    }


def release_event(episode: int, *, failed: bool) -> dict[str, Any]:
    """The end of a trial without a result; ``failed`` if NNI says that it did not succeed."""
    return {"event": "release", "episode": episode, "failed": failed}


def restart_event() -> dict[str, Any]:
    return {"event": "restart"}


def replay_event(event: dict[str, Any], search: BlockSearch) -> None:
    """Tell a search of an event; one that cannot be read is left out, with a warning."""
    try:
        if event["event"] == "suggestion":
            search.record_suggestion(_suggestion(event))
        elif event["event"] == "result":
            search.import_result(
                int(event["episode"]),
                _block_of(event),
                int(event["repeats"]),
                float(event["reward"]),
                event.get("metric", {}),
            )
        elif event["event"] == "release":
            search.release(int(event["episode"]))
            if event.get("failed"):
                search.failures.add_silent()
        elif event["event"] == "failure":
            search.fail(
                int(event["episode"]),
                _block_of(event),
                str(event["reason"]),
                bool(event["of_block"]),
            )
        elif event["event"] == "restart":
            search.failures.end_streak()
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        _logger.warning("An event of the journal is left out: %s: %s", error, event)


def _coded(block: Block) -> dict[str, Any]:
    """A block with its encoding, since the search space may change between two events."""
    encoding = {} if block.encoding == "pcc" else {"encoding": block.encoding}
    return {"block": block.to_json()} | encoding


def _block_of(event: dict[str, Any]) -> Block:
    return _block(event["block"], event.get("encoding", "pcc"))


@lru_cache(maxsize=1024)
def _block(codes: str, encoding: str) -> Block:
    """Cached, since a result names the block of a recent suggestion."""
    return parse_block(codes, encoding)


def _is_plain(name: Any, value: Any) -> bool:
    """Whether JSON can hold it: NNI hands over whatever Python objects a trial reported."""
    if not isinstance(name, str) or not isinstance(value, (str, int, float, type(None))):
        return False
    try:
        json.dumps(value)
    except ValueError:  # an integer of thousands of digits
        return False
    return True


def _suggestion(event: dict[str, Any]) -> Suggestion:
    suggested = _block_of(event)
    return Suggestion(
        int(event["episode"]),
        suggested,
        int(event["repeats"]),
        float(event["epsilon"]),
        tuple(
            Experience(_block(block, suggested.encoding), int(repeats), float(reward))
            for block, repeats, reward in event.get("recalled", [])
        ),
        width=None if event.get("width") is None else int(event["width"]),
        repetition=int(event.get("repetition", 0)),
        is_start=bool(event.get("start", False)),
    )
