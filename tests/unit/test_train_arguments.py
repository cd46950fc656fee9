"""Arguments of final trainings: which network they mean, and what is refused before any data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nni_blockqnn import NetworkSpec
from nni_blockqnn.cli import main
from nni_blockqnn.commands.block_argument import block_parameters
from nni_blockqnn.commands.finalists import finalists_space, write_finalists
from nni_blockqnn.nsc import Block
from nni_blockqnn.trials.run import run

ONE_CONV = "[[1,1,3,0,0],[2,7,0,0,0]]"
SMALL = '{"preset": "digits", "filters": [4, 8]}'
SMALL_OF_2 = '{"preset": "digits", "filters": [4, 8], "repeats": 2}'
QUICK = ("--dataset", "digits", "--limit", "100", "--epochs", "1", "--threads", "1")


@pytest.fixture
def finalists(tmp_path: Path) -> Path:
    """One block, whose network has N = 4."""
    path = tmp_path / "one4.json"
    write_finalists(path, finalists_space([Block.parse(ONE_CONV)], 4, SMALL))
    return path


@pytest.mark.parametrize(
    ("arguments", "repeats"),
    [
        ((), 4),
        (("--network", SMALL), 1),  # the preset's
        (("--network", SMALL_OF_2), 2),
        (("--network", SMALL_OF_2, "--repeats", "3"), 3),
        (("--repeats", "3"), 3),
    ],
)
def test_a_network_brings_its_own_repeats(
    finalists: Path, tmp_path: Path, arguments: tuple[str, ...], repeats: int
) -> None:
    output = tmp_path / "network"
    assert main(["train", str(finalists), *QUICK, "--output", str(output), *arguments]) == 0
    facts = json.loads((output / "network.json").read_text())
    assert facts["repeats"] == repeats
    assert NetworkSpec.from_parameter(facts["network"]).repeats == repeats


def test_a_network_of_other_data_is_refused_before_a_download(
    finalists: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    command = ["train", str(finalists), "--dataset", "cifar10", "--data-dir", str(data)]
    assert main([*command, "--output", str(tmp_path / "network")]) == 1
    error = capsys.readouterr().err
    assert "input_shape=[1, 8, 8] but the data cifar10 has images of [3, 32, 32]" in error
    assert not data.exists()


@pytest.mark.parametrize(
    ("name", "value", "least"), [("threads", 0, 1), ("threads", -1, 1), ("seed", -1, 0)]
)
def test_a_number_that_is_too_small_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, value: int, least: int
) -> None:
    option = (f"--{name}", str(value))
    expected = f"{name} must be at least {least}, got {value}"
    output = ("--output", str(tmp_path / "folder"))
    assert main(["train", ONE_CONV, "--dataset", "digits", *output, *option]) == 1
    assert capsys.readouterr().err == f"blockqnn: {expected}\n"
    if name != "seed":  # the pilot's command line refuses that one itself: test_pilot.py
        assert main(["pilot", "--dataset", "digits", *output, *option]) == 1
        assert capsys.readouterr().err == f"blockqnn: {expected}\n"
    assert run(None, ["--dataset", "digits", "--block", ONE_CONV, *option]) == 1
    assert capsys.readouterr().err == f"trial failed: {expected}\n"
    assert not (tmp_path / "folder").exists()


def test_no_number_of_workers_is_negative(capsys: pytest.CaptureFixture[str]) -> None:
    """Digits need none, but another data set would."""
    assert main(["train", ONE_CONV, "--dataset", "digits", "--workers", "-1"]) == 1
    assert "workers must be at least 0, got -1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[{"episode": 1, "block": "[[1,1,3,0,0]]"}]', "blockqnn top --output FILE"),
        (b"searchSpaceFile: finalists.json\n", "begins with 'searchSpaceFile"),
        (b"", "is empty"),
        (b"\xff\xfe", "is no text file"),
        (b"[[1,1,3,0,0]", "begins with '[[1,1,3"),
    ],
)
def test_a_file_that_holds_no_block_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "best.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"best\.json") as caught:
        block_parameters(str(file))
    assert message in str(caught.value)


def test_a_rank_beyond_the_finalists_is_named(finalists: Path) -> None:
    with pytest.raises(ValueError, match=r"^rank must be from 1 to 1: .* holds one block, got 2$"):
        block_parameters(str(finalists), rank=2)
