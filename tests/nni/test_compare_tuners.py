"""The example that compares BlockQNN with NNI's tuners."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from nni.experiment.config import ExperimentConfig
from nni_shell import ROOT, Nni, write_config

from nni_blockqnn.bridge.experiments import find_experiment
from nni_blockqnn.results.experiment import read_results
from nni_blockqnn.space.choices import block_of
from nni_blockqnn.space.search_space import SearchSpace

EXAMPLE = ROOT / "examples" / "compare_tuners"
TRIALS = 3


@pytest.mark.parametrize("name", ["random", "tpe", "evolution", "blockqnn"])
def test_the_configurations_differ_in_the_tuner_only(name: str) -> None:
    config = ExperimentConfig.load(EXAMPLE / f"{name}.yml").canonical_copy()
    assert config.max_trial_number == 100
    assert config.trial_concurrency == 2
    program, arguments = config.trial_command.split(" --", 1)
    assert arguments == "dataset digits --batch-size 64 --epochs 3 --mu 0 --rho 0 --threads 1"
    ours = name == "blockqnn"
    assert program == f"python {'-m nni_blockqnn.trial' if ours else 'choices_trial.py'}"
    assert set(config.search_space) >= ({"block"} if ours else {"layer1", "layer7_pred2"})


def test_an_nni_tuner_searches_blocks(nni: Nni, tmp_path: Path) -> None:
    example = Path(shutil.copytree(EXAMPLE, tmp_path / "example"))
    config = yaml.safe_load((example / "tpe.yml").read_text(encoding="utf-8"))
    config["maxTrialNumber"] = TRIALS
    running = nni.create(write_config(example, config))
    running.wait_for_end()
    assert set(running.statuses().values()) == {"SUCCEEDED"}

    trials = read_results(find_experiment(running.id, nni.home / "nni-experiments")).trials
    assert sorted(trial.episode for trial in trials) == list(range(TRIALS))
    space = SearchSpace(max_layers=8)
    for job in running.trials():
        choices = json.loads(job["hyperParameters"][0])["parameters"]
        (trial,) = (trial for trial in trials if trial.trial_id == job["trialJobId"])
        assert trial.block == block_of(choices, space)

    best = max(trial.reward for trial in trials)
    compared = nni.run("python", "compare.py", running.id, "--after", "3", "4", cwd=example)
    assert compared.returncode == 0, compared.stderr
    assert f"| 3 trials | {best:.2f} |\n| 4 trials | - |" in compared.stdout
