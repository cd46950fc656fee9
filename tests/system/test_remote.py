"""The mechanics of the template for several machines, with one machine: a local SSH server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from addresses import answers, other_addresses
from local_sshd import SshServer
from nni_shell import TEMPLATES, Nni, Running, write_config

TRIALS = 4
FIRST_ASKS_LATER = """\
if [ $NNI_TRIAL_SEQ_ID = 0 ]; then until [ -e ~/second_trial_is_done ]; do sleep 0.2; done; fi
{trial}
code=$?
if [ $NNI_TRIAL_SEQ_ID = 1 ]; then touch ~/second_trial_is_done; fi
exit $code
"""
"""NNI gives parameters in the order of asking, so the second trial gets those of the first."""


def test_a_search_on_a_remote_machine(ssh_server: SshServer, nni: Nni, tmp_path: Path) -> None:
    running = nni.create(write_config(tmp_path, remote_config(ssh_server)), with_blockqnn=True)
    for address in other_addresses():  # the workers must reach it
        assert answers(address, running.port), address
    running.wait_for_end()
    assert manager_address(ssh_server) == f"127.0.0.1:{running.port}"

    jobs = {job["sequenceId"]: job for job in running.trials()}
    assert [jobs[number]["status"] for number in sorted(jobs)] == ["SUCCEEDED"] * TRIALS
    trained = [metric_in_log(running, jobs[number]["trialJobId"]) for number in sorted(jobs)]
    assert recorded_episode(jobs[1]) != trained[1]["episode"], "NNI has mixed nothing up"

    by_episode = {metric["episode"]: metric for metric in trained}
    results = running.journal("result")
    assert sorted(event["episode"] for event in results) == sorted(by_episode)
    assert len(by_episode) == TRIALS
    suggested = {event["episode"]: event["block"] for event in running.journal("suggestion")}
    for event in results:
        metric = by_episode[event["episode"]]
        assert suggested[event["episode"]] == event["block"] == metric["block"]
        assert event["reward"] == metric["default"]

    top = nni.run("blockqnn", "top", running.id, "--format", "json")
    best = json.loads(top.stdout)
    assert [row["reward"] for row in best] == sorted(
        (metric["default"] for metric in trained), reverse=True
    )
    for row in best:
        metric = by_episode[row["episode"]]
        for name in ("block", "accuracy", "flops", "params", "repeats"):
            assert row[name] == metric[name]

    nni.stop(running.id)
    assert ssh_server.processes() == []


def remote_config(server: SshServer) -> dict[str, Any]:
    """The template with this machine for the others, digits for CIFAR-100 and few trials."""
    path = TEMPLATES / "blockqnn_cifar100_remote.yml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert config["trainingService"]["reuseMode"] is False
    del config["trialGpuNumber"]
    config["nniManagerIp"] = "127.0.0.1"
    config["trainingService"]["machineList"] = [
        {
            "host": "127.0.0.1",
            "port": server.port,
            "user": server.user,
            "sshKeyFile": str(server.key),
            "pythonPath": str(Path(sys.executable).parent),
        }
    ]
    trial = config["trialCommand"].replace("--dataset cifar100", "--dataset digits")
    config["trialCommand"] = FIRST_ASKS_LATER.format(trial=f"{trial} --epochs 1 --threads 1")
    config["searchSpace"]["block"]["_value"]["max_layers"] = 6
    config["searchSpace"]["repeats"]["_value"] = [1]
    config["searchSpace"]["network"]["_value"] = ["digits"]
    config["maxTrialNumber"] = config["tuner"]["classArgs"]["budget"] = TRIALS
    return config


def manager_address(server: SshServer) -> str:
    """Where the remote machine was told to find NNI's manager."""
    (written,) = server.home.glob("nni-experiments/*/environments/*/*/launcher_config.json")
    return urlsplit(json.loads(written.read_text())["managerCommandChannel"]).netloc


def metric_in_log(running: Running, trial_id: str) -> dict[str, Any]:
    """What the trial printed, in the log that the web UI shows."""
    return json.loads(running.get_text(f"trial-file/{trial_id}/stdout").splitlines()[-1])


def recorded_episode(job: dict[str, Any]) -> int:
    return json.loads(job["hyperParameters"][0])["parameters"]["episode"]
