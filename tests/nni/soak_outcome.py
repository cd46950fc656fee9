"""What became of the results of a search whose processes were killed."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nni_shell import Running
from soak import SPACE
from soak_trial import reward_of

from nni_blockqnn import BlockQNNTuner
from nni_blockqnn.bridge.experiments import find_experiment
from nni_blockqnn.record.journal import JOURNAL_NAME
from nni_blockqnn.results.experiment import read_results


@dataclass(frozen=True)
class Outcome:
    """Episodes by what became of their results.

    Attributes:
        finished: those whose trial kept its result, on its own word.
        counted: those in the tuner's history after one more restart.
        lost: finished and not counted.
        twice: counted more than once.
        invented: counted and not finished.
        mistaken: counted with a block or reward that is not the one which the trial noted.
        reused: handed out twice, or trained by two trials, or with two blocks.
        unlisted: finished and missing in what ``blockqnn top`` lists.
        damaged: lines of the journal that are no JSON.
    """

    finished: list[int]
    counted: list[int]
    lost: list[int]
    twice: list[int]
    invented: list[int]
    mistaken: list[int]
    reused: list[int]
    unlisted: list[int]
    damaged: int


def examine(
    running: Running, noted: list[dict[str, Any]], space: dict[str, Any] = SPACE
) -> Outcome:
    """Compare the trials' notes with the journal, the tuner's history and NNI's database."""
    kept = {note["episode"]: identity(note) for note in noted if note["phase"] == "kept"}
    history = resumed_history(running, space)
    times = Counter(episode for episode, *_ in history)
    journalled = Counter(event["episode"] for event in running.journal("result"))
    sent = {event["episode"]: event["block"] for event in running.journal("suggestion")}
    return Outcome(
        finished=sorted(kept),
        counted=sorted(times),
        lost=sorted(kept.keys() - times.keys()),
        twice=sorted(e for e in times if max(times[e], journalled[e]) > 1),
        invented=sorted(times.keys() - kept.keys()),
        mistaken=sorted(
            e
            for e, block, reward in history
            if (block, reward) != (sent.get(e), reward_of(block))
            or (e in kept and (block, reward) != kept[e])
        ),
        reused=reused(running, noted),
        unlisted=sorted(kept.keys() - listed(running, kept)),
        damaged=damaged_lines(running),
    )


def identity(note: dict[str, Any]) -> tuple[str, float]:
    return note["block"], note["reward"]


def resumed_history(
    running: Running, space: dict[str, Any] = SPACE
) -> list[tuple[int, str, float]]:
    """Episode, block and reward of each result that a restarted tuner knows."""
    with TemporaryDirectory() as scratch:
        checkpoint = shutil.copytree(running.directory / "checkpoint", Path(scratch) / "copy")
        before = os.environ.get("NNI_CHECKPOINT_DIRECTORY")
        os.environ["NNI_CHECKPOINT_DIRECTORY"] = str(checkpoint)
        try:
            tuner = BlockQNNTuner(seed=0)
            tuner.update_search_space(space)
        finally:
            del os.environ["NNI_CHECKPOINT_DIRECTORY"]
            if before is not None:
                os.environ["NNI_CHECKPOINT_DIRECTORY"] = before
        return [(r.episode, r.block.to_json(), r.reward) for r in tuner.history]


def reused(running: Running, noted: list[dict[str, Any]]) -> list[int]:
    handed_out = Counter(event["episode"] for event in running.journal("suggestion"))
    trials = {(note["episode"], note["trial"]) for note in noted}
    blocks = {(note["episode"], note["block"]) for note in noted}
    counts = (handed_out, *(Counter(episode for episode, _ in pairs) for pairs in (trials, blocks)))
    return sorted({episode for count in counts for episode in count if count[episode] > 1})


def listed(running: Running, kept: dict[int, tuple[str, float]]) -> set[int]:
    """Episodes whose result ``blockqnn top`` knows as their trial noted it."""
    results = read_results(find_experiment(running.id, running.directory.parent))
    return {
        result.episode
        for result in results.trials
        if kept.get(result.episode) == (result.metric["block"], result.reward)
    }


def damaged_lines(running: Running) -> int:
    def is_damaged(line: bytes) -> bool:
        try:
            json.loads(line)
        except ValueError:
            return True
        return False

    journal = (running.directory / "checkpoint" / JOURNAL_NAME).read_bytes()
    return sum(map(is_damaged, journal.splitlines()))
