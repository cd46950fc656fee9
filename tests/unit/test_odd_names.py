"""Names that are not UTF-8, terminals of ASCII, and a failure that must reach the tuner."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from nni_blockqnn import cli
from nni_blockqnn.blocks.block import Block
from nni_blockqnn.bridge import channel, launch
from nni_blockqnn.commands._block_argument import block_parameters
from nni_blockqnn.common.files import write_whole
from nni_blockqnn.common.streams import print_everything
from nni_blockqnn.exchange.finalists import finalists_space, read_finalist, write_finalists
from nni_blockqnn.trials.run import run

ODD = os.fsdecode(b"Bl\xf6cke")
"""A folder of Latin-1, as Python names it."""
BLOCK = "[[1,1,3,0,0],[2,7,0,0,0]]"


def terminal(encoding: str, monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """What stdout and stderr write from now on; both are strict, as stdout is."""
    written = io.BytesIO()
    for name in ("stdout", "stderr"):
        stream = io.TextIOWrapper(written, encoding=encoding, write_through=True)
        monkeypatch.setattr(sys, name, stream)
    return written


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_commands_say_what_is_wrong_with_odd_names(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = terminal(encoding, monkeypatch)
    assert cli.main(["check", str(tmp_path / ODD / "größe.yml"), "--no-estimate"]) == 1
    assert b"no such file" in written.getvalue()
    assert b"Bl\\udcf6cke" in written.getvalue()
    assert cli.main(["draw", str(tmp_path / ODD)]) == 1
    assert b"there is no file" in written.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_trial_says_what_is_wrong_with_odd_names(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = terminal(encoding, monkeypatch)
    print_everything()
    reported: list[dict[str, Any]] = []
    monkeypatch.setattr(channel, "report_final", reported.append)
    parameters = {"block": BLOCK, "network": "cifar10", "episode": 3}
    folder = str(tmp_path / ODD)
    assert run(parameters, ["--dataset", "image-folder", "--data-dir", folder]) == 1
    assert b"trial failed: " in written.getvalue()
    assert ODD in reported[0]["failure"]
    assert json.loads(json.dumps(reported[0]))["episode"] == 3  # as NNI sends it


def test_a_failure_is_reported_though_it_cannot_be_printed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reported: list[dict[str, Any]] = []
    monkeypatch.setattr(channel, "report_final", reported.append)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    parameters = {"block": BLOCK, "network": "cifar10", "episode": 3}
    with pytest.raises(UnicodeEncodeError):
        run(parameters, ["--dataset", "image-folder", "--data-dir", str(tmp_path / "ö")])
    assert reported[0]["episode"] == 3
    assert "ö" in reported[0]["failure"]


@pytest.mark.parametrize("words", [["--dataset", "cifra10"], ["--epochs", "0"], ["--datset", "a"]])
def test_the_tuner_is_told_of_arguments_that_cannot_be_read(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reported: list[dict[str, Any]] = []
    monkeypatch.setattr(channel, "report_final", reported.append)
    assert run({"block": BLOCK, "network": "digits", "episode": 3}, words) == 1
    assert reported[0]["failure"] in capsys.readouterr().err
    assert (reported[0]["episode"], reported[0]["failure_of_block"]) == (3, False)


def test_nni_reads_and_prints_utf_8_in_any_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONUTF8", "0")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    variables = launch.environment(loopback=True)
    assert variables["PYTHONUTF8"] == "1"
    assert variables["PYTHONIOENCODING"].startswith("utf-8:")


def test_files_keep_odd_names_in_escapes(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", f"<h1>{ODD} ö</h1>")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "<h1>Bl\\udcf6cke ö</h1>"


def test_a_byte_order_mark_before_a_block(tmp_path: Path) -> None:
    path = tmp_path / "block.json"
    path.write_bytes(b"\xef\xbb\xbf" + BLOCK.encode())
    assert block_parameters(str(path)) == {"block": BLOCK}
    write_finalists(path, finalists_space([Block.parse(BLOCK)], 2, "digits"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_finalist(path, 1)["repeats"] == 2
    assert block_parameters(str(path))["block"] == BLOCK
