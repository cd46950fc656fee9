"""From a finished search to trained finalists and a winner, on real NNI."""

from __future__ import annotations

import json
from pathlib import Path

import yaml
from nni_shell import Nni, Running, Search, write_config

from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.bridge.experiments import find_experiment
from nni_blockqnn.export.trained import load
from nni_blockqnn.results.experiment import read_results

TRIAL = (
    "python -m nni_blockqnn.trial --dataset digits --limit 300 --recipe final --epochs 2"
    " --threads 1 --mu 0 --rho 0"
)


def test_a_search_its_finalists_and_the_winner(search: Search, tmp_path: Path) -> None:
    nni = search.nni
    finalists = tmp_path / "finalists.json"
    options: list[str | Path] = ["--k", "3", "--references", "--output", finalists]
    written = nni.run("blockqnn", "top", search.running.id, *options)
    assert written.returncode == 0, written.stderr
    blocks = json.loads(finalists.read_text())["block"]["_value"]
    assert len(blocks) == 5

    config = yaml.safe_load((tmp_path / "finalists.yml").read_text())
    assert config["maxTrialNumber"] == 5
    config |= {"trialCommand": TRIAL, "trialConcurrency": 2}
    final = nni.create(write_config(tmp_path, config), with_blockqnn=True)
    for trials in (3, 4):  # the second time, queued finalists are lost with NNI's memory, too
        final = interrupted(nni, final, trials)
    # NNI says that it is done before it begins with the trials that a resume has queued
    final.wait_until(lambda: has_ended(final), "the end")
    assert final.statuses() == dict.fromkeys(final.statuses(), "SUCCEEDED")

    results = read_results(find_experiment(final.id, nni.home / "nni-experiments"))
    assert not results.malformed
    assert len(results.trials) == 5
    assert sorted(trial.block.to_json() for trial in results.trials) == sorted(blocks)
    assert sorted(trial.episode for trial in results.trials) == [0, 1, 2, 3, 4]
    for trial in results.trials:
        folder = Path(trial.metric["network_folder"])
        assert trial.trial_id in folder.parts
        facts = json.loads((folder / "network.json").read_text())
        assert facts["block"] == trial.block.to_json()
        assert facts["recipe"]["epochs"] == 2
        parameters = sum(weight.numel() for weight in load(folder).parameters())
        assert parameters == trial.params

    winners = tmp_path / "winners.json"
    top = nni.run("blockqnn", "top", final.id, "--by", "accuracy", "--output", winners)
    assert top.returncode == 0, top.stderr
    command = f"train {winners} --rank 1 --dataset digits --limit 300 --epochs 1 --threads 1"
    trained = nni.run("blockqnn", *command.split(), "--validation", "test", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    best = max(results.trials, key=lambda trial: (trial.accuracy or 0, -(trial.flops or 0)))
    facts = json.loads((tmp_path / "blockqnn-network" / "network.json").read_text())
    assert facts["block"] == best.block.to_json()
    assert facts["accuracy"] is facts["best_accuracy"] is None  # nothing was validated
    assert 0 <= facts["test_accuracy"] <= 100
    assert NAMED_BLOCKS["residual"].to_json() in blocks
    nni.stop(final.id)


def has_ended(running: Running) -> bool:
    return running.status() == "DONE" and "ADD_RESUMED" not in running.statuses().values()


def interrupted(nni: Nni, running: Running, trials: int) -> Running:
    """Stopped as soon as there are so many trials, and resumed."""
    running.wait_until(lambda: len(running.trials()) >= trials, f"trial {trials}")
    nni.stop(running.id)
    return nni.resume(running, with_blockqnn=True)
