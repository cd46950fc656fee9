"""What is made of the times of trials that sleep, and that the predictor knows what is imported."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import slot_share
import torch
from slot_share import KNOWN, Spent, busy_share, sleeping, table

from nni_blockqnn.tuner import BlockQNNTuner


def _trials(*begun: float) -> list[Spent]:
    return [Spent(at - 0.5, at, at + 30, at + 30.2) for at in begun]


def test_a_slot_is_busy_while_one_trial_at_least_trains() -> None:
    assert busy_share(_trials(0, 31, 63, 94)) == pytest.approx(100 * 60 / 63)
    side_by_side = _trials(0, 15, 31, 45, 61)
    assert busy_share(side_by_side) == pytest.approx(100)


def test_the_table_has_medians_and_the_share() -> None:
    line = {"variant": "plain", "seconds": 30, "trials": _trials(0, 31, 62, 94, 125)}
    row = table([line]).splitlines()[-1]
    assert row == "| plain | 0.50 | 0.20 | 0.30 | 95.7 |"


def test_the_predictor_knows_what_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    tuner = BlockQNNTuner(seed=0, predictor="wl", budget=200)
    monkeypatch.setattr(tuner, "get_checkpoint_path", lambda: None)
    config = slot_share._configuration(slot_share.VARIANTS["plain"], 5)
    assert config["tuner"]["classArgs"]["predictor"] == "wl"
    assert config["tuner"]["classArgs"]["budget"] == KNOWN + 5
    tuner.update_search_space(config["searchSpace"])
    tuner.import_data(list(slot_share._known_results()))
    assert 100 <= len(tuner.history) <= KNOWN
    assert {result.metric["seconds"] for result in tuner.history} == {30}


def test_a_training_sleeps_once_and_says_when(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLOT_SHARE_SECONDS", "0.05")
    monkeypatch.setenv("SLOT_SHARE_FOLDER", str(tmp_path))
    monkeypatch.setenv("NNI_TRIAL_JOB_ID", "abcde")
    task = sleeping()
    outputs, targets = torch.zeros(2, 10), torch.tensor([1, 2])
    before = time.time()
    task.loss(outputs, targets)
    begun, slept = json.loads((tmp_path / "abcde").read_text(encoding="utf-8"))
    assert before <= begun
    assert slept - begun >= 0.05
    (tmp_path / "abcde").unlink()
    task.loss(outputs, targets)
    assert not (tmp_path / "abcde").exists()
