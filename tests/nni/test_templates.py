"""Every configuration template is one that NNI, the tuner and the trial accept."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from nni_shell import TEMPLATES

from nni_blockqnn import BlockQNNTuner, SearchSpace
from nni_blockqnn.checks import load_config
from nni_blockqnn.class_args import check_class_args
from nni_blockqnn.parameters import read_task
from nni_blockqnn.q_learning.limits import Limits, check_limits
from nni_blockqnn.trial_arguments import trial_parser

ALGORITHM = "blockqnn_algo.yml"
SEARCHES = sorted(path for path in TEMPLATES.glob("*.yml") if path.name != ALGORITHM)


@pytest.fixture(params=SEARCHES, ids=lambda path: path.name)
def search(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def config(search: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """As NNI loads it, in a home with the SSH key that the remote template names."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_rsa").touch()  # NNI only asks whether there is one
    return load_config(search)


def test_they_are_those_of_the_readme() -> None:
    assert [path.name for path in SEARCHES] == [
        "blockqnn_cifar10.yml",
        "blockqnn_cifar100.yml",
        "blockqnn_cifar100_remote.yml",
        "blockqnn_fashion_mnist.yml",
        "blockqnn_fast_cifar100.yml",
        "blockqnn_quickstart.yml",
        "blockqnn_s_cifar100.yml",
        "random_search_cifar100.yml",
    ]


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


def test_the_trial_understands_its_command(config: Any) -> None:
    python, flag, module, *arguments = shlex.split(config.trial_command)
    assert (python, flag, module) == ("python", "-m", "nni_blockqnn.trial")
    dataset = trial_parser(under_nni=True).parse_args(arguments).dataset
    assert dataset == SearchSpace.from_json(config.search_space).network


def test_one_gpu_a_trial_is_one_line_away(search: Path, config: Any, tmp_path: Path) -> None:
    if config.trial_gpu_number is None:
        text = search.read_text(encoding="utf-8")
        changed = tmp_path / search.name
        changed.write_text(text.replace("\n# trialGpuNumber: 1\n", "\ntrialGpuNumber: 1\n"))
        config = load_config(changed)
    assert config.trial_gpu_number == 1


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
