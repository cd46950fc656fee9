"""The quick start's trials are forks of a resident worker, as good as processes of their own."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from typing import Any

from nni_shell import Search, of_home, runs

MODULE = "nni_blockqnn.trials.resident"
OF_THE_RUN = ("startup_seconds", "training_seconds", "seconds", "episode")


def test_a_forked_trial_has_the_numbers_of_a_process_of_its_own(
    search: Search, quick_start: dict[str, Any]
) -> None:
    trial_id, forked = sorted(search.finals().items())[0]
    words = shlex.split(quick_start["trialCommand"])
    assert "--resident" in words
    # a trial that runs by itself says so there
    assert search.running.get_text(f"trial-file/{trial_id}/trial.stderr") == ""

    own = subprocess.run(
        [sys.executable, *words[1:], "--block", forked["block"]],
        env=search.nni.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    *lines, metric = own.stdout.splitlines()
    assert _comparable(json.loads(metric)) == _comparable(forked)
    *forked_lines, _ = search.running.printed(trial_id)
    assert [_untimed(line) for line in lines] == [_untimed(line) for line in forked_lines]


def test_the_worker_ends_with_its_search(search: Search) -> None:
    def workers() -> list[Any]:
        return [each for each in of_home(search.nni.home) if runs(each, MODULE)]

    search.running.wait_until(lambda: not workers(), "the worker's end")


def _comparable(metric: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metric.items() if name not in OF_THE_RUN}


def _untimed(line: str) -> str:
    """Without the seconds, which come last."""
    return line.rpartition(", ")[0] if line.startswith("epoch") else line
