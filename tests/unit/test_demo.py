"""What the demo asks for, and the folder that it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nni_blockqnn import cli
from nni_blockqnn.automl._folder import SearchFolder
from nni_blockqnn.automl.request import Request
from nni_blockqnn.commands import demo as demo_command


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Request, Path, Any]]:
    """The searches that the demo has asked for, in an empty current folder."""
    monkeypatch.chdir(tmp_path)
    seen: list[tuple[Request, Path, Any]] = []

    def run_search(request: Request, output: Path, port: int | None) -> int:
        seen.append((request, output, port))
        return 0

    monkeypatch.setattr(demo_command, "run_search", run_search)
    return seen


def begin(folder: str, request: Request) -> SearchFolder:
    opened = SearchFolder(Path(folder))
    opened.claim(request, "data")
    opened.release()
    return opened


def test_it_is_a_short_search_of_digits(asked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--port", "8123", "--seed", "3", "--concurrency", "2"]) == 0
    [(request, output, port)] = asked
    assert (request.data, request.gpus, request.concurrency, request.seed) == ("digits", 0, 2, 3)
    assert request.trials == 24
    assert request.final_epochs is not None
    assert (output, port) == (Path("blockqnn-demo"), 8123)
    assert "search my_images --hours 2 -o found" in capsys.readouterr().out


def test_one_that_was_cut_off_goes_on_and_a_finished_one_stays(asked: Any) -> None:
    cli.main(["demo"])
    request = asked[0][0]
    folder = begin("blockqnn-demo", request)
    cli.main(["demo"])
    folder.answer.write_text("{}")
    cli.main(["demo"])
    begin("blockqnn-demo-2", Request("digits", 1.0))  # another search
    cli.main(["demo"])
    assert [output.name for _, output, _ in asked] == [
        *("blockqnn-demo", "blockqnn-demo", "blockqnn-demo-2", "blockqnn-demo-3")
    ]


def test_a_named_folder_is_taken_as_it_is(asked: Any) -> None:
    begin("mine", Request("digits", 1.0))
    cli.main(["demo", "--output", "mine"])
    assert asked[0][1] == Path("mine")


@pytest.mark.parametrize("wrong", ["--trials=0", "--concurrency=0", "--seed=-1"])
def test_wrong_numbers_are_named(
    wrong: str, asked: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", wrong]) == 1
    assert f"{wrong[2:].split('=')[0]} must be" in capsys.readouterr().err
    assert asked == []
