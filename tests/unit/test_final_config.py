"""The configuration that ``blockqnn top --output`` writes beside finalists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_experiments import ONE_CONV, final, make_experiment, write_list

from nni_blockqnn.cli import main
from nni_blockqnn.commands._config_file import load_config
from nni_blockqnn.commands._final_config import TASK_RECIPES
from nni_blockqnn.tasks import TASKS

OWN = "python -m nni_blockqnn.trial"
TEMPLATE_DATA = "--data-dir ~/.cache/nni-blockqnn/data"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "nni-experiments"


def written(
    home: Path, command: str, *options: str, network: str = "cifar10", **config: Any
) -> str:
    """The text of the configuration after a search with this trial command."""
    space = {
        "block": {"_type": "nsc", "_value": {}},
        "network": {"_type": "choice", "_value": [network]},
    }
    config = {"experimentName": "Cats", "searchSpace": space, "trialCommand": command} | config
    finals = [("a", final()), ("b", final(block=ONE_CONV))]
    make_experiment(home, finals=finals, config=config)
    write_list(home, abcd1234={"startTime": 1, "experimentName": "Cats"})
    assert main(["top", "--output", str(home / "best.json"), *options]) == 0
    return (home / "best.yml").read_text()


def command_of(home: Path) -> str:
    """As NNI reads it."""
    return " ".join(load_config(home / "best.yml").trial_command.split())


@pytest.mark.parametrize(
    ("kept", "dropped"),
    [
        ("--dataset image-folder --data-dir ~/cats", "--mu 0 --rho=0"),
        ("--dataset cifar10 --limit 500 --seed 7", "--batch-size 64"),
        ("--dataset m:f --threads 2 --workers 4 --precision bf16", ""),
        ("--dataset cifar10 --data-dir '/my data'", "2>&1 | tee --seed 3"),
        ("--task segmentation --dataset mask-folder --data-dir ~/masks", "--metric pixel_accuracy"),
        ("--task mine:Task --dataset m:f", ""),
        ("--dataset digits", "--recipe mine:short --epochs 3 --reward a:b"),
        ("--dataset cifar10 --device cuda", "--validation test --learning-rate 0.1"),
    ],
)
def test_the_searchs_own_data_and_machine(home: Path, kept: str, dropped: str) -> None:
    text = written(home, f"{OWN} {kept} {dropped}")
    assert command_of(home) == f"{OWN} {kept} --recipe final --mu 0 --rho 0"
    assert load_config(home / "best.yml").experiment_name == "Finalists of Cats"
    assert "# The finalists of the search Cats (abcd1234)," in text
    assert "CIFAR-100" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_what_runs_the_trial_stays(home: Path) -> None:
    written(home, "cd /x && A=1 /opt/py/bin/python3 -m nni_blockqnn.trial --dataset digits")
    trial = "A=1 /opt/py/bin/python3 -m nni_blockqnn.trial --dataset digits"
    assert command_of(home).startswith(f"cd /x && {trial} --recipe final")


def test_variables_are_left_for_the_shell(home: Path) -> None:
    written(home, f'{OWN} --dataset cifar10 --data-dir "$DATA/my images" --threads $(nproc)')
    assert '--data-dir "$DATA/my images" --threads $(nproc) --recipe' in command_of(home)


def test_as_many_trials_at_a_time_and_gpus(home: Path) -> None:
    service = {"platform": "local", "useActiveGpu": True}
    more = {"trialConcurrency": 3, "trialGpuNumber": 1, "trainingService": service}
    written(home, f"{OWN} --dataset digits", **more)
    config = load_config(home / "best.yml")
    assert (config.trial_concurrency, config.trial_gpu_number, config.max_trial_number) == (3, 1, 2)
    assert config.training_service.use_active_gpu is True


@pytest.mark.parametrize(
    ("options", "is_needed"),
    [("digits", False), ("own:data", True), ("digits --data-dir images", True)],
)
def test_the_folder_of_code_comes_along_if_something_is_looked_for_in_it(
    home: Path, tmp_path: Path, options: str, is_needed: bool
) -> None:
    code = tmp_path / "my code"
    code.mkdir()
    written(home, f"{OWN} --dataset {options}", trialCodeDirectory=str(code))
    found = Path(load_config(home / "best.yml").trial_code_directory)
    assert found == (code if is_needed else home)


@pytest.mark.parametrize(
    ("network", "dataset", "name"),
    [
        ("cifar10", "image-folder", "Finalists of Cats"),
        ('{"preset": "cifar10", "repeats": 6}', "image-folder", "Finalists of Cats"),
        ('{"input_shape": [3, 64, 64], "classes": 2}', "image-folder", "Finalists of Cats"),
        ("cifar100", "cifar100", "Finalists of Cats on CIFAR-100"),
        ("fashion_mnist", "fashion_mnist", "Finalists of Cats on Fashion-MNIST"),
        ("imagenet", "imagenet", "Finalists of Cats on ImageNet"),
    ],
)
def test_a_network_for_other_images_brings_their_data(
    home: Path, network: str, dataset: str, name: str
) -> None:
    searched = f"{OWN} --dataset image-folder --data-dir /cats --limit 9 --threads 2"
    text = written(home, searched, "--network", network)
    command = command_of(home)
    assert f"--dataset {dataset} " in command
    assert ("--limit 9" in command) == ("/cats" in command) == (dataset == "image-folder")
    assert "--threads 2" in command
    assert load_config(home / "best.yml").experiment_name == name
    assert ("another data set than the search's" in text) == (dataset != "image-folder")


def test_a_trial_of_ones_own_says_nothing_of_its_data(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = written(home, "python trial.py --dataset cats", network="digits")
    assert "another data set" not in text
    assert "of the search's own, its trial says nothing" in text
    assert load_config(home / "best.yml").experiment_name == "Finalists of Cats"
    assert (
        command_of(home) == f"{OWN} --dataset digits {TEMPLATE_DATA} --recipe final --mu 0 --rho 0"
    )
    assert "give its trialCommand the data that you want" in capsys.readouterr().err


def test_what_comes_next_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(home, f"{OWN} --dataset digits --threads 2")
    said = capsys.readouterr().err
    assert (
        "it trains on the search's data, --dataset digits --threads 2. Then: blockqnn create"
        in said
    )
    assert main(["top", "--output", str(home / "best.json"), "--k", "1"]) == 0
    assert "best.yml was there: of it, only maxTrialNumber and what follows" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("name", ['A "quoted": name # 1', "", "Zwei\nZeilen", "Katzen äöü 猫"])
def test_any_name_of_a_search_makes_a_configuration_that_nni_reads(home: Path, name: str) -> None:
    make_experiment(home, finals=[("a", final())], config={
        "experimentName": name,
        "searchSpace": {"network": {"_type": "choice", "_value": ["digits"]}},
        "trialCommand": f"{OWN} --dataset digits",
    })  # fmt: skip
    assert main(["top", "abcd1234", "--output", str(home / "best.json")]) == 0
    found = load_config(home / "best.yml").experiment_name
    assert found == f"Finalists of {name or 'abcd1234'}"


def test_a_task_has_a_final_recipe_of_its_own(home: Path) -> None:
    kept = "--task keypoints --dataset coco --data-dir ~/people"
    written(home, f"{OWN} {kept}")
    assert command_of(home) == f"{OWN} {kept} --recipe keypoints-final --mu 0 --rho 0"
    own = {name: task.final_recipe for name, task in TASKS.items() if task.final_recipe != "final"}
    assert own == TASK_RECIPES


def test_what_follows_the_finalists(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(home, f"{OWN} --dataset cifar10", "--more", "3", "--again", "2")
    config = load_config(home / "best.yml")
    following = {"search": "abcd1234", "more": 3, "again": 2, "seeds": 3}
    assert (config.tuner.class_args, config.max_trial_number) == (following, 2 + 3 + 4)
    assert "then goes on with 7 trainings" in capsys.readouterr().err
    assert main(["top", "--output", str(home / "best.json"), "--again", "1"]) == 0
    config = load_config(home / "best.yml")
    assert (config.tuner.class_args["more"], config.max_trial_number) == (0, 2 + 2)
    assert main(["top", "--output", str(home / "best.json")]) == 0
    config = load_config(home / "best.yml")
    assert (config.tuner.class_args, config.max_trial_number) == (None, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--more", "-1"], "--more must be an integer from 0 to 1000, got -1"),
        (["--again", "2"], "--again and --network are of the finalists that --output FILE writes"),
    ],
)
def test_what_cannot_follow_them(
    home: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_experiment(home, finals=[("a", final())])
    write_list(home, abcd1234={"startTime": 1})
    assert main(["top", *options]) == 1
    assert message in capsys.readouterr().err
