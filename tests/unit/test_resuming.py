"""When an experiment's manager was started, which its tuner's process tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest
from made_experiments import make_experiment

from nni_blockqnn.bridge import resuming
from nni_blockqnn.bridge.experiments import Experiment, find_experiment


class Process:
    """A tuner of a checkpoint's directory; one that ends while it is looked at has no start."""

    def __init__(self, checkpoint: Path, started: float | None) -> None:
        self._checkpoint, self._started = checkpoint, started

    def environ(self) -> dict[str, str]:
        return {"NNI_CHECKPOINT_DIRECTORY": str(self._checkpoint)}

    def create_time(self) -> float:
        if self._started is None:
            raise psutil.NoSuchProcess(1)
        return self._started


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    monkeypatch.setenv("HOME", str(tmp_path))
    make_experiment(tmp_path / "nni-experiments")
    return find_experiment("abcd1234")


@pytest.mark.parametrize(
    ("starts", "expected"), [([], 0.0), ([None], 0.0), ([7.0, None, 5.0], 5.0)]
)
def test_a_tuner_that_ends_meanwhile_does_not_count(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, starts: list[Any], expected: float
) -> None:
    own = experiment.directory / "checkpoint"
    running = [Process(own, started) for started in starts] + [Process(Path("/other"), 1.0)]
    monkeypatch.setattr(resuming.psutil, "process_iter", lambda: iter(running))
    assert resuming.manager_started(experiment) == expected
