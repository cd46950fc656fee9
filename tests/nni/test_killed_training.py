"""A final training whose trial is killed, and then its manager, ends as an uninterrupted one."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from nni_shell import Nni, Running, kill, variable, write_config

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.bridge.database import read_metrics
from nni_blockqnn.bridge.experiments import find_experiment
from nni_blockqnn.commands._tuner_checks import FINALISTS_TUNER
from nni_blockqnn.exchange.finalists import finalists_space
from nni_blockqnn.exchange.kept_results import CHECKPOINT_NAME
from nni_blockqnn.results.experiment import TrialResult, read_results
from nni_blockqnn.training.checkpoint import SECONDS_BETWEEN

EPOCHS = 60
TRAINING = (
    f"--dataset digits --recipe final --threads 1 --mu 0 --rho 0 --epochs {EPOCHS} --limit 600"
)
RESIDUAL = NAMED_BLOCKS["residual"]


def test_a_killed_trial_and_a_killed_manager_cost_no_epochs(nni: Nni, tmp_path: Path) -> None:
    running = nni.create(write_config(tmp_path, final_config(RESIDUAL, TRAINING)))
    (first,) = trials_under_way(running, 1)
    whole = train_alone(nni, tmp_path / "whole")  # not sooner: NNI gives its tuner ten seconds
    running.wait_until(lambda: epochs_printed(running, first), "the first epoch")
    checkpoint = trial_folder(running, first) / CHECKPOINT_NAME
    pause(processes_of(nni, running, first), SECONDS_BETWEEN)  # or it would be over by then
    running.wait_until(checkpoint.exists, "a checkpoint")
    assert kill(processes_of(nni, running, first))
    running.wait_for_end()
    assert list(running.statuses().values()) == ["USER_CANCELED"]

    sent = nni.run("blockqnn", "retry", running.id)
    assert sent.returncode == 0, sent.stderr
    assert f"trial {first} (USER_CANCELED) is sent again and goes on" in sent.stdout
    assert "nothing to retry" in nni.run("blockqnn", "retry", running.id).stdout
    (copy,) = trials_under_way(running, 1)
    assert copy != first
    running.wait_until(lambda: len(epochs_printed(running, copy)) > 2, "epochs of the copy")
    assert kill(nni.processes(running.id)[:1])

    running = nni.resume(running, with_blockqnn=True)
    running.wait_for_end()
    printed = epochs_printed(running, copy)
    assert min(printed) > 1
    assert max(printed) == EPOCHS
    assert f"goes on from the checkpoint of trial {first}" in printed_by(running, copy)
    (result,) = results(nni, running)
    assert result.trial_id == copy
    assert result.block == RESIDUAL
    assert [job["status"] for job in running.trials()] == ["USER_CANCELED", "SUCCEEDED"]
    curve = {
        metric.sequence: metric.value["epoch"]
        for metric in read_metrics(running.directory, "PERIODICAL")
        if metric.trial_id == copy
    }
    assert curve == {number: number + 1 for number in range(EPOCHS)}  # whole in the web UI

    assert whole.wait() == 0
    assert sha256(Path(result.metric["network_folder"])) == sha256(tmp_path / "whole")


def final_config(block: Block, arguments: str) -> dict[str, Any]:
    return {
        "searchSpace": finalists_space([block], 1, "digits"),
        "trialCommand": f"python -m nni_blockqnn.trial {arguments}",
        "trialConcurrency": 1,
        "maxTrialNumber": 1,
        "tuner": {"className": FINALISTS_TUNER, "codeDirectory": "."},
        "trainingService": {"platform": "local"},
    }


def train_alone(nni: Nni, folder: Path) -> subprocess.Popen[bytes]:
    """The same training as NNI's, beside it."""
    block = ["--block", "residual", "--repeats", "1", "--save-dir", str(folder)]
    return subprocess.Popen(
        [sys.executable, "-m", "nni_blockqnn.trial", *TRAINING.split(), *block],
        env=nni.environment,
        stdout=subprocess.DEVNULL,
    )


def pause(processes: list[psutil.Process], seconds: float) -> None:
    for process in processes:
        process.suspend()
    time.sleep(seconds)
    for process in processes:
        process.resume()


def trials_under_way(running: Running, count: int) -> list[str]:
    running.wait_until(lambda: len(running.trials("RUNNING")) == count, f"{count} trials")
    return [job["trialJobId"] for job in running.trials("RUNNING")]


def trial_folder(running: Running, trial_id: str) -> Path:
    return running.directory / "environments" / "local-env" / "trials" / trial_id


def processes_of(nni: Nni, running: Running, trial_id: str) -> list[psutil.Process]:
    return [
        process
        for process in nni.processes(running.id)
        if variable(process, "NNI_TRIAL_JOB_ID") == trial_id
    ]


def printed_by(running: Running, trial_id: str) -> str:
    log = trial_folder(running, trial_id) / "trial.log"
    return log.read_text(encoding="utf-8") if log.exists() else ""


def epochs_printed(running: Running, trial_id: str) -> list[int]:
    return [int(each) for each in re.findall(r"PRINT epoch (\d+): ", printed_by(running, trial_id))]


def results(nni: Nni, running: Running) -> tuple[TrialResult, ...]:
    read = read_results(find_experiment(running.id, nni.home / "nni-experiments"))
    assert not read.malformed
    return read.trials


def sha256(folder: Path) -> str:
    described = json.loads((folder / "network.json").read_text())["weights_sha256"]
    weights = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    assert weights == described
    return weights
