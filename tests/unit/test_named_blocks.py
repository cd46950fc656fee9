"""The hand-made blocks, wherever a command takes a block."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_nsc import INCEPTION, RESIDUAL

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.named import NAMED_BLOCKS, name_of
from nni_blockqnn.cli import main
from nni_blockqnn.commands._block_argument import block_parameters
from nni_blockqnn.exchange.finalists import finalists_space, write_finalists
from nni_blockqnn.trials.run import run


def test_they_are_those_of_figure_2() -> None:
    assert {name: block.codes for name, block in NAMED_BLOCKS.items()} == {
        "inception": INCEPTION,
        "residual": RESIDUAL,
    }


def test_a_block_is_named_by_its_key() -> None:
    pool_first = [[1, 4, 0, 0, 0], [2, 2, 3, 1, 0], [3, 1, 1, 2, 0], [4, 1, 1, 1, 0]]
    pool_first += [[5, 1, 3, 4, 0], [6, 1, 1, 1, 0], [7, 1, 5, 6, 0], [8, 6, 0, 5, 7]]
    assert name_of(Block.parse([*pool_first, [9, 6, 0, 3, 8]])) == "inception"
    assert name_of(Block.parse(RESIDUAL)) == "residual"
    assert name_of(Block.parse([[1, 1, 3, 0, 0]])) is None


def test_a_block_is_a_name_codes_or_a_file(tmp_path: Path) -> None:
    codes = Block.parse(RESIDUAL).to_json()
    assert block_parameters("residual") == {"block": codes}
    assert block_parameters(codes) == {"block": codes}
    path = tmp_path / "block.json"
    path.write_text(codes + "\n")
    assert block_parameters(str(path)) == {"block": codes}
    write_finalists(path, finalists_space([*NAMED_BLOCKS.values()], 2, "digits"))
    second = {"block": Block.parse(INCEPTION).to_json(), "repeats": 2, "network": "digits"}
    assert block_parameters(str(path), rank=2) == second
    assert block_parameters(str(path))["block"] == codes


@pytest.mark.parametrize(
    ("text", "rank", "encoding", "message"),
    [
        ("resnet", None, "pcc", "residual or inception.*no file resnet"),
        ("residual", None, "separate", 'encoding "pcc"'),
        ("[[1,1,3,0,0]]", 2, "pcc", "file of finalists"),
    ],
)
def test_what_is_no_block_is_refused(
    text: str, rank: int | None, encoding: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        block_parameters(text, rank, encoding)


def test_draw_and_trial_know_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", "residual"]) == 0
    assert "4 +" in capsys.readouterr().out
    arguments = ["--dataset", "digits", "--epochs", "1", "--limit", "100", "--threads", "1"]
    assert run(None, [*arguments, "--block", "residual"]) == 0
    metric = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert Block.parse(metric["block"]).codes == RESIDUAL
