"""The tuner by its registered name under a user's own trial, from YAML and from Python."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from nni_shell import ROOT, Nni, Running, final_metric, free_port, write_config

EXAMPLE = ROOT / "examples" / "own_trial"
TRIALS = 2


@pytest.fixture
def own(nni: Nni, tmp_path: Path) -> Path:
    """A copy of the example, and the tuner registered in this home only."""
    registered = nni.run("blockqnn", "register")
    assert registered.returncode == 0, registered.stderr
    assert "BlockQNN" in (nni.home / "nni-config" / "registered_algorithms.yml").read_text()
    return Path(shutil.copytree(EXAMPLE, tmp_path / "own_trial"))


def test_from_yaml(nni: Nni, own: Path) -> None:
    config = yaml.safe_load((own / "config.yml").read_text(encoding="utf-8"))
    assert config["tuner"]["name"] == "BlockQNN"
    config["maxTrialNumber"] = config["tuner"]["classArgs"]["budget"] = TRIALS
    running = nni.create(write_config(own, config), with_blockqnn=True)
    running.wait_for_end()
    assert set(running.statuses().values()) == {"SUCCEEDED"}
    finals = [final_metric(job) for job in running.trials()]
    assert_counted(running, finals)
    shown = nni.run("blockqnn", "top", running.id).stdout
    assert all(final["block"] in shown for final in finals)
    assert "unreadable" not in shown


def test_from_python(nni: Nni, own: Path) -> None:
    port = str(free_port())
    ran = nni.run("python", "run.py", "--port", port, "--trials", str(TRIALS), cwd=own)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    ((experiment_id, entry),) = nni.listed().items()
    assert entry["status"] == "STOPPED"
    running = Running(experiment_id, int(port), nni.home / "nni-experiments" / experiment_id)
    assert len(running.journal("result")) == TRIALS
    best = nni.run("blockqnn", "top", experiment_id)
    assert best.returncode == 0, best.stderr


def test_a_name_that_is_not_registered_is_refused(nni: Nni) -> None:
    refused = nni.run("blockqnn", "create", EXAMPLE / "config.yml")
    assert refused.returncode == 1
    assert "BlockQNN is not registered; run: blockqnn register" in refused.stdout
    assert nni.listed() == {}


def assert_counted(running: Running, finals: list[dict]) -> None:
    counted = {(event["episode"], event["reward"]) for event in running.journal("result")}
    assert len(counted) == TRIALS
    assert counted == {(final["episode"], final["default"]) for final in finals}
