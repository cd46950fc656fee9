"""Arguments of final trainings: which network they mean, and what is refused before any data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nni_blockqnn import NetworkSpec
from nni_blockqnn.blocks.block import Block
from nni_blockqnn.cli import main
from nni_blockqnn.commands._block_argument import block_parameters
from nni_blockqnn.exchange.finalists import finalists_space, write_finalists
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
    ("option", "value", "allowed"),
    [
        ("--threads", "0", "from 1 to 1024"),
        ("--threads", "-1", "from 1 to 1024"),
        ("--seed", "-1", "from 0 to 4294967295"),
        ("--workers", "-1", "from 0 to 1024"),  # digits need none, but another data set would
        ("--threads", "two", "from 1 to 1024"),
    ],
)
def test_a_number_that_cannot_be_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, allowed: str
) -> None:
    data = ("--dataset", "digits", option, value)
    output = ("--output", str(tmp_path / "folder"))
    for command in (
        lambda: main(["train", ONE_CONV, *data, *output]),
        lambda: main(["pilot", *data, *output]),
        lambda: run(None, [*data, "--block", ONE_CONV]),
    ):
        with pytest.raises(SystemExit, match="2"):
            command()
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.endswith(f"{option}: must be an integer {allowed}, got '{value}'")
    assert not (tmp_path / "folder").exists()


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


def test_a_block_of_another_encoding_is_read_from_a_file_or_the_command_line(
    tmp_path: Path,
) -> None:
    block = Block.parse([[1, 1, 7, 0, 0]], encoding="separate")
    file = tmp_path / "best.json"
    file.write_text(block.to_json() + "\n")
    for text in (block.to_json(), str(file)):
        assert Block.parse(block_parameters(text)["block"]) == block


def test_a_rank_beyond_the_finalists_is_named(finalists: Path) -> None:
    with pytest.raises(ValueError, match=r"^rank must be from 1 to 1: .* holds one block, got 2$"):
        block_parameters(str(finalists), rank=2)
