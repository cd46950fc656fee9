"""What the journal of a search tells: epsilon, start blocks, lost networks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from nni_blockqnn.blocks.block import parse_block
from nni_blockqnn.common.checks import is_integer, is_number
from nni_blockqnn.q_learning.failures import LOST_LIMIT
from nni_blockqnn.record.journal import JOURNAL_NAME, has_events, read_events


class LostNetwork(NamedTuple):
    """A network without a result, whose trials said nothing.

    Attributes:
        block: its structure codes as JSON text.
        repeats: its N, None if the journal does not say it.
        times: how often it was handed out in vain.
    """

    block: str
    repeats: int | None
    times: int

    @property
    def is_given_up(self) -> bool:
        return self.times >= LOST_LIMIT


def epsilons(experiment_directory: Path) -> dict[int, float]:
    """The epsilon with which each episode's block was drawn; empty for other tuners."""
    return {
        event["episode"]: float(event["epsilon"])
        for event in search_events(experiment_directory)
        if event.get("event") == "suggestion"
        and is_integer(event.get("episode"))
        and is_number(event.get("epsilon"))
    }


def start_episodes(experiment_directory: Path) -> set[int]:
    """The episodes of start blocks."""
    return {
        event["episode"]
        for event in search_events(experiment_directory)
        if event.get("start") is True and is_integer(event.get("episode"))
    }


def lost_networks(experiment_directory: Path) -> list[LostNetwork]:
    """The networks that were lost, the most often lost first; none without a journal."""
    networks: dict[int, str] = {}
    suggestions: dict[str, Mapping[str, Any]] = {}
    losses: dict[int, str] = {}
    answered: set[str] = set()
    if not has_events(_journal_in(experiment_directory), "release"):  # mostly, and much faster
        return []
    for event in search_events(experiment_directory):
        kind, episode = event.get("event"), event.get("episode", -1)
        if kind == "suggestion":
            networks[episode] = name = _network(event)
            suggestions[name] = event
        elif kind == "release" and episode in networks:
            losses[episode] = networks[episode]
        elif kind in ("result", "failure"):
            losses.pop(episode, None)  # it came after the trial's end
            answered.add(networks.get(episode, ""))
    times: Counter[tuple[Any, ...]] = Counter()
    events: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for name in losses.values():
        if name not in answered:
            network = _network_key(suggestions[name])
            times[network] += 1
            events.setdefault(network, suggestions[name])
    return [
        LostNetwork(str(events[network].get("block")), events[network].get("repeats"), count)
        for network, count in times.most_common()
    ]


def search_events(experiment_directory: Path) -> list[dict[str, Any]]:
    """None without a journal."""
    journal = _journal_in(experiment_directory)
    if not journal.is_file():
        return []
    written = journal.stat()
    return _events_of(journal, written.st_size, written.st_mtime_ns)


@lru_cache(maxsize=1)
def _events_of(journal: Path, size: int, written: int) -> list[dict[str, Any]]:
    """Kept while the file stays as it is: a report asks several times. Nobody changes the list."""
    return read_events(journal)


def _journal_in(experiment_directory: Path) -> Path:
    return experiment_directory / "checkpoint" / JOURNAL_NAME


def _network(event: Mapping[str, Any]) -> str:
    """Equal for suggestions of one network with its layers in one order."""
    return repr([event.get(name) for name in ("block", "encoding", "repeats", "width")])


def _network_key(event: Mapping[str, Any]) -> tuple[Any, ...]:
    """Equal for suggestions of one network, also where its layers are numbered differently."""
    try:
        key = parse_block(event.get("block"), event.get("encoding", "pcc")).key
    except ValueError:
        key = str(event.get("block"))
    return key, event.get("repeats"), event.get("width")
