"""From results to the search space of the experiment that trains the finalists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cifar10_search import SEARCHED, search, top
from made_experiments import (
    ONE_CONV,
    RESIDUAL,
    THE_SAME_RENUMBERED,
    TWO_BRANCHES,
    final,
)

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.cli import main
from nni_blockqnn.commands._config_file import load_config
from nni_blockqnn.exchange.finalists import (
    check_grid,
    finalist_tasks,
    finalists_space,
    read_finalist,
)
from nni_blockqnn.network.spec import NetworkSpec

INCEPTION = NAMED_BLOCKS["inception"].to_json()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "nni-experiments"


def test_the_best_distinct_blocks_become_choices(home: Path) -> None:
    search(
        home,
        final(block=TWO_BRANCHES, default=50.0),
        final(block=THE_SAME_RENUMBERED, default=52.0),
        final(block=RESIDUAL, default=51.0),
        final(block=ONE_CONV, default=10.0),
    )
    assert top(home, "--k", "2") == {
        "block": {"_type": "choice", "_value": [THE_SAME_RENUMBERED, RESIDUAL]},
        "repeats": {"_type": "choice", "_value": [4]},
        "network": {"_type": "choice", "_value": ["cifar10"]},
    }


def test_accuracy_network_and_references(home: Path) -> None:
    search(
        home,
        final(block=TWO_BRANCHES, default=1.0, accuracy=70.0),
        final(block=RESIDUAL, default=2.0, accuracy=60.0),
        final(block=ONE_CONV, default=3.0, accuracy=50.0),
    )
    space = top(home, "--references", "--by", "accuracy", "--k", "2", "--network", "cifar100")
    # the residual block was found as well: it is there once, at the place that it earned
    assert space["block"]["_value"] == [TWO_BRANCHES, RESIDUAL, INCEPTION]
    assert space["network"]["_value"] == ["cifar100"]
    assert [task.spec for task in finalist_tasks(space)] == [NetworkSpec("cifar100")] * 3


@pytest.mark.parametrize(
    ("limits", "blocks", "left_out"),
    [
        (["--max-params", "1576324"], [RESIDUAL, ONE_CONV], ["inception"]),  # exactly residual's
        (["--max-params", "1576323"], [ONE_CONV], ["residual", "inception"]),
        (["--max-flops", "497948260"], [RESIDUAL, ONE_CONV, INCEPTION], []),
        (["--max-flops", "497948259"], [RESIDUAL, ONE_CONV], ["inception"]),
    ],
)
def test_limits_are_those_of_the_network_that_is_written(
    home: Path,
    capsys: pytest.CaptureFixture[str],
    limits: list[str],
    blocks: list[str],
    left_out: list[str],
) -> None:
    """Whatever the search's networks cost."""
    search(home, final(params=10), final(block=ONE_CONV, default=50.0, params=10**9, flops=10**12))
    space = top(home, "--references", "--network", "cifar100", *limits)
    assert space["block"]["_value"] == blocks
    said = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert said == [f"{name} is over the limits and left out" for name in left_out]


def test_without_a_network_limits_are_those_of_the_search(home: Path) -> None:
    search(home, final(params=1_001), final(block=ONE_CONV, default=50.0, params=1_000))
    assert top(home, "--max-params", "1000")["block"]["_value"] == [ONE_CONV]


@pytest.mark.parametrize(
    ("metrics", "config", "options", "message"),
    [
        ([], SEARCHED, [], "no finalists: no results yet"),
        ([final()], SEARCHED, ["--max-params", "9"], "no finalists: 1 result, none within the"),
        ([final(), final(block=ONE_CONV, repeats=2)], SEARCHED, [], "N = [2, 4]"),
        ([final()], {}, [], "--network"),
        ([final()], SEARCHED, ["--network", "cifar11"], "cifar11"),
    ],
)
def test_what_makes_no_finalists_is_said(
    home: Path,
    capsys: pytest.CaptureFixture[str],
    metrics: list[Any],
    config: dict[str, Any],
    options: list[str],
    message: str,
) -> None:
    search(home, *metrics, config=config)
    assert main(["top", "--output", str(home / "finalists.json"), *options]) == 1
    assert message in capsys.readouterr().err
    assert not (home / "finalists.json").exists()


def test_of_several_n_one_is_chosen(home: Path) -> None:
    search(home, final(), final(block=ONE_CONV, repeats=2))
    space = top(home, "--repeats", "2")
    assert (space["block"]["_value"], space["repeats"]["_value"]) == ([ONE_CONV], [2])


def test_a_named_network_brings_its_own_n(home: Path) -> None:
    """The paper's networks for ImageNet have N = 3, those of its search 4."""
    search(home, final(), final(block=ONE_CONV, repeats=2))
    space = top(home, "--network", "imagenet")
    assert len(space["block"]["_value"]) == 2
    assert space["repeats"]["_value"] == [3]


@pytest.mark.parametrize(
    ("network", "dataset", "recipe"),
    [
        ("cifar10", "cifar10", "final"),
        ("imagenet", "imagenet", "imagenet-final"),
        ("fashion_mnist", "fashion_mnist", "final"),
        ('{"preset": "cifar100", "filters": [80, 160, 320]}', "cifar100", "final"),
        ('{"input_shape": [3, 64, 64]}', "cifar10", "final"),
    ],
)
def test_a_configuration_is_written_beside_them(
    home: Path, network: str, dataset: str, recipe: str
) -> None:
    search(home, final(), final(block=ONE_CONV))
    top(home, "--network", network)
    config = load_config(home / "finalists.yml")
    assert config.max_trial_number == 2
    tasks = finalist_tasks(config.search_space)
    assert [task.spec for task in tasks] == [NetworkSpec.from_parameter(network)] * 2
    assert f"--dataset {dataset} " in config.trial_command
    assert f"--recipe {recipe} " in config.trial_command


def test_what_was_written_into_the_configuration_stays(home: Path) -> None:
    search(home, final(), final(block=ONE_CONV))
    top(home)
    path = home / "finalists.yml"
    path.write_text(path.read_text().replace("trialConcurrency: 1", "trialConcurrency: 7"))
    top(home, "--k", "1")
    config = load_config(path)
    assert (config.trial_concurrency, config.max_trial_number) == (7, 1)


def test_a_file_of_the_configurations_name_is_not_overwritten(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search(home, final())
    (home / "finalists.yml").write_text("searchSpaceFile: other.json\n")
    assert main(["top", "--output", str(home / "finalists.json")]) == 1
    assert "name another file with --output" in capsys.readouterr().err
    assert (home / "finalists.yml").read_text() == "searchSpaceFile: other.json\n"
    assert not (home / "finalists.json").exists()


def test_after_the_final_training_there_is_nothing_more_to_configure(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = finalists_space([Block.parse(ONE_CONV), Block.parse(RESIDUAL)], 4, "cifar10")
    search(home, final(), config={"searchSpace": space})
    top(home)
    assert "blockqnn train" in capsys.readouterr().err
    assert not (home / "finalists.yml").exists()


def test_blocks_of_another_encoding_and_of_other_kernels_are_read_back(tmp_path: Path) -> None:
    blocks = [
        Block.parse("[[1,1,7,0,0],[2,8,0,1,0]]", encoding="separate"),
        Block.parse("[[1,2,5,0,0]]", encoding="separate"),
    ]
    space = finalists_space(blocks, 2, "digits")
    assert [task.block for task in finalist_tasks(space)] == blocks
    path = tmp_path / "finalists.json"
    path.write_text(json.dumps(space))
    assert read_finalist(path, 2) == {
        "block": blocks[1].to_json(),
        "repeats": 2,
        "network": "digits",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", '"block"'),
        ("[]", '"block"'),
        ("{", "is not a file of finalists"),
        ('{"block": {"_type": "nsc", "_value": {}}}', '"choice"'),
        ('{"block": {"_type": "choice", "_value": []}}', "block must be"),
    ],
)
def test_a_file_that_holds_no_finalists(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "f.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"f\.json is not a file of finalists") as caught:
        read_finalist(path, 1)
    assert message in str(caught.value)


def test_a_grid_is_compared_with_the_number_of_trials() -> None:
    space = finalists_space([Block.parse(ONE_CONV), Block.parse(RESIDUAL)], 1, "digits")
    assert check_grid(space, 2)[0] == "ok"
    level, message = check_grid(space, 100)
    assert (level, "write maxTrialNumber: 2" in message) == ("warning", True)
    level, message = check_grid(space, 1)
    assert (level, "1 will not be trained" in message) == ("warning", True)
    space["block"]["_value"].append("[[1,1,8,0,0]]")
    level, message = check_grid(space, 3)
    assert (level, message[:22]) == ("failure", "trial 3 of the grid: r")


def test_only_a_file_of_finalists_is_overwritten(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search(home, final())
    top(home)
    top(home)  # once more
    assert "wrote 1 block to" in capsys.readouterr().err
    path = home / "notes.json"
    path.write_text('{"block": "mine"}')
    assert main(["top", "--output", str(path)]) == 1
    assert "notes.json is not a file of finalists" in (said := capsys.readouterr().err)
    assert "it is not overwritten; name another file" in said
    assert path.read_text() == '{"block": "mine"}'
    assert not (home / "notes.yml").exists()
