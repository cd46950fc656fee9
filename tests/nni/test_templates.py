"""Every configuration template is one that NNI, the tuner and the trial accept."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from nni_shell import TEMPLATES

from nni_blockqnn import BlockQNNTuner, NetworkSpec, SearchSpace
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.commands._config_file import load_config
from nni_blockqnn.commands._tuner_checks import FINALISTS_TUNER
from nni_blockqnn.exchange.class_args import check_class_args
from nni_blockqnn.exchange.finalists import (
    check_grid,
    finalists_space,
    is_finalists,
    network_of_grid,
    write_finalists,
)
from nni_blockqnn.exchange.parameters import read_task
from nni_blockqnn.finalists_tuner import FinalistsTuner
from nni_blockqnn.space.limits import Limits, check_limits
from nni_blockqnn.trials.arguments import default_final_recipe, trial_parser

ALGORITHM = "blockqnn_algo.yml"
FINALS = sorted(TEMPLATES.glob("train_top_*.yml"))
EXPERIMENTS = sorted(path for path in TEMPLATES.glob("*.yml") if path.name != ALGORITHM)
SEARCHES = [path for path in EXPERIMENTS if path not in FINALS]

of_searches = pytest.mark.parametrize("template", SEARCHES, ids=lambda path: path.name)
of_finals = pytest.mark.parametrize("template", FINALS, ids=lambda path: path.name)
of_experiments = pytest.mark.parametrize("template", EXPERIMENTS, ids=lambda path: path.name)


@pytest.fixture
def config(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """As NNI loads it, beside finalists, in a home with the SSH key that one template names."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").touch()  # NNI only asks whether there is one
    network = template.stem.removeprefix("train_top_") if template in FINALS else "cifar100"
    space = finalists_space([*NAMED_BLOCKS.values()], NetworkSpec(network).repeats, network)
    write_finalists(tmp_path / "finalists.json", space)
    return load_config(Path(shutil.copy(template, tmp_path)))


def test_they_are_those_of_the_readme() -> None:
    assert [path.name for path in EXPERIMENTS] == [
        "blockqnn_cifar10.yml",
        "blockqnn_cifar100.yml",
        "blockqnn_cifar100_remote.yml",
        "blockqnn_fashion_mnist.yml",
        "blockqnn_fast_cifar100.yml",
        "blockqnn_quickstart.yml",
        "blockqnn_s_cifar100.yml",
        "random_search_cifar100.yml",
        "train_top_cifar10.yml",
        "train_top_cifar100.yml",
        "train_top_imagenet.yml",
    ]


@of_searches
def test_the_trial_can_read_what_the_tuner_proposes(config: Any) -> None:
    assert config.tuner.class_name == "nni_blockqnn.tuner.BlockQNNTuner"
    class_args = check_class_args(config.tuner.class_args)
    space = SearchSpace.from_json(config.search_space)
    check_limits(space, Limits(**class_args.get("limits", {})))
    assert class_args["budget"] == config.max_trial_number

    tuner = BlockQNNTuner(**class_args)
    tuner.update_search_space(config.search_space)
    task = read_task(tuner.generate_parameters(0))
    assert space.contains(task.block)
    assert task.spec.repeats in space.repeats


@of_finals
def test_the_grid_trains_each_finalist_with_the_final_recipe(config: Any) -> None:
    assert config.tuner.class_name == FINALISTS_TUNER
    assert check_grid(config.search_space, 2) == ("ok", "all 2 can be built")
    tuner = FinalistsTuner()
    tuner.update_search_space(config.search_space)
    tasks = [read_task(tuner.generate_parameters(number)) for number in range(2)]
    assert [task.block for task in tasks] == [*NAMED_BLOCKS.values()]
    (network,) = config.search_space["network"]["_value"]
    assert [(task.spec, task.episode) for task in tasks] == [(NetworkSpec(network), None)] * 2
    *_, arguments = config.trial_command.split(" -m nni_blockqnn.trial ")
    recipe = trial_parser(under_nni=True).parse_args(shlex.split(arguments)).recipe
    assert recipe == default_final_recipe(network)


@of_experiments
def test_the_trial_understands_its_command(config: Any) -> None:
    python, flag, module, *arguments = shlex.split(config.trial_command)
    assert (python, flag, module) == ("python", "-m", "nni_blockqnn.trial")
    dataset = trial_parser(under_nni=True).parse_args(arguments).dataset
    space = config.search_space
    is_final = is_finalists(space)
    network = network_of_grid(space) if is_final else SearchSpace.from_json(space).network
    assert dataset == network


@of_experiments
def test_one_gpu_a_trial_is_one_line_away(template: Path, config: Any, tmp_path: Path) -> None:
    if config.trial_gpu_number is None:
        text = template.read_text(encoding="utf-8")
        changed = tmp_path / template.name
        changed.write_text(text.replace("\n# trialGpuNumber: 1\n", "\ntrialGpuNumber: 1\n"))
        config = load_config(changed)
    assert config.trial_gpu_number == 1


@of_experiments
def test_remote_machines_are_not_reused(config: Any) -> None:
    """What NNI does with them otherwise: docs/nni.md."""
    assert not config.training_service.reuse_mode


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.yml")), ids=lambda path: path.name)
def test_the_comment_at_its_top_says_what_one_wants_to_know(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    comment = text[: text.index("\n\n")]
    assert all(line.startswith("#") for line in comment.splitlines())
    for word in ("needs", "takes", "run"):
        assert f"#   {word} " in comment
    assert f"config_templates/{path.name}" in comment
    if path.name != ALGORITHM:
        for machine in ("one GPU", "several GPUs", "no GPU"):
            assert machine in comment


def test_the_algorithms_file_names_what_there_is() -> None:
    meta = yaml.safe_load((TEMPLATES / ALGORITHM).read_text(encoding="utf-8"))
    for key in ("className", "classArgsValidator"):
        module, _, name = meta[key].rpartition(".")
        assert hasattr(__import__(module, fromlist=[name]), name)
