"""The epsilon with which each episode's block was drawn, from the tuner's journal."""

from __future__ import annotations

from pathlib import Path

from nni_blockqnn.record.journal import JOURNAL_NAME, read_events


def epsilons(experiment_directory: Path) -> dict[int, float]:
    """By episode; empty if the experiment's tuner was another one."""
    journal = experiment_directory / "checkpoint" / JOURNAL_NAME
    if not journal.exists():
        return {}
    return {
        int(event["episode"]): float(event["epsilon"])
        for event in read_events(journal)
        if event.get("event") == "suggestion"
    }
