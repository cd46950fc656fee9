"""The event files of trials, read back as TensorBoard reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.training import EpochResult
from nni_blockqnn.trials._tensorboard import TensorBoardLog

BLOCK = NAMED_BLOCKS["residual"]


def epoch(number: int, accuracy: float) -> EpochResult:
    return EpochResult(number, 1.0 / number, accuracy, 0.001, 0, 2.0)


def under_nni(monkeypatch: pytest.MonkeyPatch, experiment: Path, **others: str) -> None:
    variables = {
        "NNI_PLATFORM": "local",
        "NNI_TRIAL_JOB_ID": "AbCdE",
        "NNI_OUTPUT_DIR": str(experiment / "environments" / "local-env" / "trials" / "AbCdE"),
    }
    for name, value in (variables | others).items():
        monkeypatch.setenv(name, value)


def read(folder: Path) -> Any:
    events = EventAccumulator(str(folder), {"images": 0})
    events.Reload()
    return events


def test_a_trial_writes_its_epochs_block_and_metric_where_nni_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_nni(monkeypatch, tmp_path)
    log = TensorBoardLog.of_trial()
    log.write_epoch(epoch(3, 30.0))  # the run before a resume had the first two
    folder = tmp_path / "trials" / "AbCdE" / "output" / "tensorboard"
    assert [one.step for one in read(folder).Scalars("accuracy")] == [3]  # at once
    log.finish(BLOCK, [epoch(n, 10.0 * n) for n in (1, 2, 3)], {"accuracy": 30.0}, 40.0)
    events = read(folder)
    whole = {one.step: one.value for one in events.Scalars("accuracy")}
    assert whole == {1: 10.0, 2: 20.0, 3: 30.0}
    assert {"accuracy", "loss", "learning_rate", "seconds"} == {*events.Tags()["scalars"]}
    said = events.Tensors("block/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "3×3 conv" in said
    metric = events.Tensors("final metric/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| accuracy | 30.0 |" in metric
    assert events.Tags()["images"] == ["block"]


def test_a_short_training_does_not_wait_for_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_nni(monkeypatch, tmp_path)
    log = TensorBoardLog.of_trial()
    log.finish(BLOCK, [epoch(1, 10.0)], {}, 3.0)
    events = read(tmp_path / "trials" / "AbCdE" / "output" / "tensorboard")
    assert events.Tags()["images"] == []


@pytest.mark.parametrize(
    "others",
    [{"NNI_PLATFORM": "remote"}, {"NNI_OUTPUT_DIR": "/nowhere/else"}, {"NNI_TRIAL_JOB_ID": ""}],
)
def test_nothing_is_written_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: dict[str, str]
) -> None:
    under_nni(monkeypatch, tmp_path, **others)
    log = TensorBoardLog.of_trial()
    log.write_epoch(epoch(1, 10.0))
    log.finish(BLOCK, [epoch(1, 10.0)], {}, 99.0)
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_cannot_be_written_is_said_once_and_loses_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    log = TensorBoardLog(tmp_path / "file" / "below")
    log.write_epoch(epoch(1, 10.0))
    log.write_epoch(epoch(2, 10.0))
    log.finish(BLOCK, [], {}, 0.0)
    assert capsys.readouterr().err.count("TensorBoard's log is not written") == 1
