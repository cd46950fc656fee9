"""Threads: how many, and how they wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nni_blockqnn.bridge import channel
from nni_blockqnn.common import cores
from nni_blockqnn.training import TrainingArguments
from nni_blockqnn.training.arguments import MOST_PROCESSES
from nni_blockqnn.trials import run

DIGITS = TrainingArguments("digits")


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "_quota", lambda _: None)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_threads_sleep_while_they_wait_unless_the_user_says_otherwise() -> None:
    environment: dict[str, str] = {}
    cores.wait_asleep(environment)
    assert environment == {"OMP_WAIT_POLICY": "PASSIVE"}
    for name in cores.WAITING_VARIABLES:
        environment = {name: "ACTIVE"}
        cores.wait_asleep(environment)
        assert environment == {name: "ACTIVE"}


def test_every_process_of_this_package_decides_before_pytorch_is_loaded() -> None:
    """GNU's OpenMP shows on request how its threads wait, as it has read it while it was loaded."""
    environment = {
        name: value for name, value in os.environ.items() if name not in cores.WAITING_VARIABLES
    }
    shown = subprocess.run(
        [sys.executable, "-c", "import nni_blockqnn.training"],
        env=environment | {"OMP_DISPLAY_ENV": "TRUE"},
        capture_output=True,
        text=True,
        check=True,
    )
    if "OPENMP DISPLAY ENVIRONMENT" not in shown.stderr:
        pytest.skip("this PyTorch computes without OpenMP")
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in shown.stderr


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "250000 100000\n"}, 2.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_a_container(
    tmp_path: Path, files: dict[str, str], expected: float | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert cores._quota(tmp_path) == expected


@pytest.mark.parametrize(("quota", "expected"), [(None, 8), (2.5, 2), (0.3, 1), (64.0, 8)])
def test_usable_cores(
    eight_cores: None, monkeypatch: pytest.MonkeyPatch, quota: float | None, expected: int
) -> None:
    monkeypatch.setattr(cores, "_quota", lambda _: quota)
    assert cores.usable_cores() == expected


def test_trials_at_once_share_the_cores(eight_cores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert DIGITS.chosen_threads() is None
    assert [DIGITS.chosen_threads(trials=trials) for trials in (2, 3, 1000)] == [4, 2, 1]
    monkeypatch.setattr(cores, "_quota", lambda _: 2.0)
    assert DIGITS.chosen_threads() == 2, "PyTorch would take eight"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the user's own
    assert DIGITS.chosen_threads(trials=2) is None


@pytest.mark.parametrize("name", ["threads", "workers"])
@pytest.mark.parametrize("value", [-1, MOST_PROCESSES + 1, 100_000, 2.0, True])
def test_absurd_numbers_are_refused(name: str, value: object) -> None:
    lowest = 1 if name == "threads" else 0
    expected = f"{name} must be an integer from {lowest} to 1024, got {value}"
    with pytest.raises(ValueError, match=expected):
        TrainingArguments("digits", **{name: value})


def test_absurd_numbers_are_refused_on_the_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        run.run(None, ["--dataset", "digits", "--block", "residual", "--threads", "100000"])
    assert "--threads: must be an integer from 1 to 1024, got '100000'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("platform", "answer", "expected"),
    [
        ("local", {"params": {"trialConcurrency": 4}}, 4),
        ("local", {"params": {}}, 1),
        ("local", OSError("no manager"), 1),
        ("remote", {"params": {"trialConcurrency": 4}}, 1),
    ],
)
def test_a_trial_asks_how_many_run_at_once(
    monkeypatch: pytest.MonkeyPatch, platform: str, answer: object, expected: int
) -> None:
    def asked(command_channel: str, path: str) -> object:
        assert (command_channel, path) == ("http://127.0.0.1:1/env/x", "experiment")
        if isinstance(answer, OSError):
            raise answer
        return json.loads(json.dumps(answer))

    monkeypatch.setenv("NNI_PLATFORM", platform)
    monkeypatch.setenv("NNI_TRIAL_COMMAND_CHANNEL", "http://127.0.0.1:1/env/x")
    monkeypatch.setattr(channel, "_asked", asked)
    assert channel.trials_at_once() == expected
