"""Three hosts with their own addresses, sshd and homes: faults are named, and no result is lost."""

from __future__ import annotations

import json
import sys
import venv
from pathlib import Path
from typing import Any

import psutil
from cluster import Cluster, Host
from nni_shell import Nni, kill, variable, write_config
from remote_soak import remote_config, wait_for
from small_disk import fill, small_disk
from soak import notes
from soak_outcome import examine
from test_killed_training import (
    EPOCHS,
    RESIDUAL,
    TRAINING,
    final_config,
    pause,
    trials_under_way,
)

from nni_blockqnn.exchange.kept_results import CHECKPOINT_NAME, RESULT_NAME
from nni_blockqnn.hosts.checkpoints import spread_checkpoints
from nni_blockqnn.hosts.machine import machines_of_record
from nni_blockqnn.training.checkpoint import SECONDS_BETWEEN

TRIALS = 9


def test_check_names_every_fault_and_setup_hosts_mends(
    hosts: Cluster, nni: Nni, tmp_path: Path
) -> None:
    full, cut, bare = hosts.hosts
    environment = bare_environment(tmp_path / "venv")
    config = remote_config(
        hosts, tmp_path / "truth.jsonl", TRIALS, [{}, {}, {"pythonPath": str(environment / "bin")}]
    )
    config["trialCommand"] = (
        "python -m nni_blockqnn.trial --dataset image-folder --data-dir ~/pictures"
    )
    path = write_config(tmp_path, config)
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        picture = nni.home / "pictures" / name
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(name.encode())

    bare.hide(hosts.manager)
    cut.cut()
    with small_disk(full.server.home, 1):
        fill(full.server.home / "filler")
        row = check(nni, path, hosts)
        assert row[full]["disk"] == "not writable"
        assert row[full]["data"] == "missing"
        assert (row[full]["packages"], row[full]["way_back"]) == ("same", "ok")
        assert row[cut]["login"] == "unreachable"
        assert (row[bare]["packages"], row[bare]["way_back"]) == ("missing", "none")
        assert {fault["message"].rpartition(": ")[2] for fault in row[bare]["faults"]} >= {
            f"blockqnn setup-hosts {path}"
        }
    cut.mend()
    bare.show(hosts.manager)
    lend_packages(environment)

    done = setup_hosts(nni, path, hosts)
    copied = "copied 3 files of 27 bytes into ~/pictures"
    assert [copied in done[host] for host in hosts.hosts] == [True] * 3
    assert ["installed nni-blockqnn" in done[host] for host in hosts.hosts] == [False, False, True]
    assert (bare.server.home / "pictures/dog/1.png").read_bytes() == b"dog/1.png"
    assert list(environment.rglob("nni_blockqnn/config_templates/*.yml"))
    again = setup_hosts(nni, path, hosts)
    assert all("installed" not in said and "copied" not in said for said in again.values())

    (bare.server.home / "pictures/dog/1.png").write_bytes(b"another picture")
    row = check(nni, path, hosts)
    assert [fault["column"] for host in hosts.hosts for fault in row[host]["faults"]] == ["data"]
    assert row[bare]["data"] == "differs"


def test_a_search_loses_no_result(hosts: Cluster, nni: Nni, tmp_path: Path) -> None:
    """NNI's manager is killed while trials run on the hosts (``benchmarks/many_machines.py`` has
    faults of the hosts)."""
    truth = tmp_path / "truth.jsonl"
    truth.touch()
    (tmp_path / "code").mkdir()  # NNI copies it to the hosts
    config = write_config(tmp_path / "code", remote_config(hosts, truth, TRIALS))
    running = nni.create(config, with_blockqnn=True)
    trial = wait_for(truth, "begun", hosts.hosts[1])
    kill(nni.processes(running.id)[:1])
    wait_for(truth, "kept", hosts.hosts[1], trial)
    running = nni.resume(running, with_blockqnn=True)
    assert list(running.directory.glob(f"environments/*/trials/{trial['trial']}/{RESULT_NAME}"))
    running.wait_for_end()
    nni.stop(running.id)
    outcome = examine(running, notes(truth))
    assert len(outcome.finished) >= TRIALS
    assert outcome.counted == outcome.finished
    assert not any((outcome.twice, outcome.mistaken, outcome.unlisted))
    # NNI runs again what was under way, on hosts with each other's parameters (docs/nni.md)
    blocks = {(note["episode"], note["block"]) for note in notes(truth)}
    assert len(blocks) == len({episode for episode, _ in blocks})


def test_a_checkpoint_is_brought_to_the_other_hosts(hosts: Cluster, tmp_path: Path) -> None:
    """Over their own SFTP; ``unit/test_checkpoints_of_hosts.py`` has what a trial makes of it."""
    cut = hosts.hosts[2]
    place = f"environments/remote-worker1/trials/abcde/{CHECKPOINT_NAME}"
    there = [host.server.home / "nni-experiments" / "abcd1234" / place for host in hosts.hosts]
    there[0].parent.mkdir(parents=True)
    there[0].write_bytes(bytes(range(256)) * 4096)
    entries = [host.entry() for host in hosts.hosts]
    machines = machines_of_record(
        {"trainingService": {"platform": "remote", "machineList": entries}}
    )
    cut.cut()
    spread = spread_checkpoints(machines, tmp_path / "abcd1234", CHECKPOINT_NAME, ["abcde"])
    cut.mend()
    assert (spread.fetched, spread.size, spread.sent) == (1, 2**20, 1)
    assert list(spread.failed) == [machines[2].name]
    assert there[1].read_bytes() == there[0].read_bytes()
    assert int(there[1].stat().st_mtime) == int(there[0].stat().st_mtime)
    again = spread_checkpoints(machines, tmp_path / "abcd1234", CHECKPOINT_NAME, ["abcde"])
    assert (again.fetched, again.sent, again.failed) == (0, 1, {})
    assert there[2].read_bytes() == there[0].read_bytes()


def test_a_final_training_goes_on_on_another_host(hosts: Cluster, nni: Nni, tmp_path: Path) -> None:
    """NNI sends the copy to the next host in turn, which has never seen the trial."""
    (tmp_path / "code").mkdir()
    machines = [host.entry() for host in hosts.hosts[:2]]
    training = TRAINING.replace(f"--epochs {EPOCHS}", "--epochs 20")
    config = final_config(RESIDUAL, training) | {
        "nniManagerIp": hosts.manager,
        "trainingService": {"platform": "remote", "reuseMode": False, "machineList": machines},
    }
    running = nni.create(write_config(tmp_path / "code", config), with_blockqnn=True)
    (first,) = trials_under_way(running, 1)
    running.wait_until(lambda: folder_of(hosts, first), "the trial's folder")
    folder = folder_of(hosts, first)[0]
    running.wait_until(lambda: "epoch 1:" in printed_in(folder), "the first epoch")
    pause(processes_of_trial(first), SECONDS_BETWEEN)  # or it would be over by then
    running.wait_until((folder / CHECKPOINT_NAME).exists, "a checkpoint")
    assert kill(processes_of_trial(first))
    running.wait_for_end()

    sent = nni.run("blockqnn", "retry", running.id)
    assert sent.returncode == 0, sent.stderr
    assert "fetched 1 checkpoint of " in sent.stdout
    assert "and made 1 copy on hosts" in sent.stdout
    assert f"trial {first} (USER_CANCELED) is sent again and goes on from its" in sent.stdout
    running.wait_for_end()
    (copy,) = [job["trialJobId"] for job in running.trials("SUCCEEDED")]
    (another,) = folder_of(hosts, copy)
    assert another.parents[5] != folder.parents[5]  # the host's home
    assert f"goes on from the checkpoint of trial {first}" in printed_in(another)
    assert "epoch 1:" not in printed_in(another)
    nni.stop(running.id)


def folder_of(hosts: Cluster, trial: str) -> list[Path]:
    """Where a trial has run: its folder on a host; a copied checkpoint alone is no run."""
    environments = "nni-experiments/*/environments"
    found = [host.server.home.glob(f"{environments}/*/trials/{trial}") for host in hosts.hosts]
    return [path for paths in found for path in paths if (path / "trial.stdout").exists()]


def printed_in(folder: Path) -> str:
    """What a remote trial printed; NNI leads that of local ones elsewhere."""
    return (folder / "trial.stdout").read_text(encoding="utf-8")


def processes_of_trial(trial: str) -> list[psutil.Process]:
    """On any host."""
    return [one for one in psutil.process_iter() if variable(one, "NNI_TRIAL_JOB_ID") == trial]


def check(nni: Nni, config: Path, hosts: Cluster) -> dict[Host, dict[str, Any]]:
    """What `blockqnn check` says of each host; all of it is said to a reader, too."""
    ran = nni.run("blockqnn", "check", "--json", "--no-estimate", config)
    told = json.loads(ran.stdout)
    messages = [finding["message"] for finding in told["findings"]]
    for row in told["hosts"]:
        assert {f"{one['column']}: {one['message']}" for one in row["faults"]} <= {*messages}
    assert ran.returncode == (1 if any(row["faults"] for row in told["hosts"]) else 0)
    return dict(zip(hosts.hosts, told["hosts"], strict=True))


def setup_hosts(nni: Nni, config: Path, hosts: Cluster) -> dict[Host, str]:
    """What `blockqnn setup-hosts` says of each host."""
    ran = nni.run("blockqnn", "setup-hosts", config)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return {
        host: "\n".join(line for line in ran.stdout.splitlines() if f"{host.address}:" in line)
        for host in hosts.hosts
    }


def bare_environment(folder: Path) -> Path:
    """A new virtual environment without any package, whatever PYTHONPATH says."""
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python3*/site-packages")
    (site / "bare.pth").write_text(
        "import os, sys; own = os.environ.get('PYTHONPATH', '').split(os.pathsep); "
        "sys.path[:] = [path for path in sys.path if path not in own]"
    )
    return folder


def lend_packages(environment: Path) -> None:
    """Let a bare environment have all packages of this one, but for what is being developed."""
    folders = [path for path in sys.path if any(Path(path).glob("*.dist-info"))]
    (site,) = environment.glob("lib/python3*/site-packages")
    (site / "lent.pth").write_text("\n".join(folders))
