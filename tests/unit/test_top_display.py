"""``blockqnn top`` in narrow terminals, of incomplete results, and in machine-readable form."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from made_experiments import ONE_CONV, RESIDUAL, final, make_experiment

from nni_blockqnn.cli import main
from nni_blockqnn.commands._console import TableConsole
from nni_blockqnn.commands._progress_bar import beginning
from nni_blockqnn.commands._top_display import show_csv, show_json, show_table
from nni_blockqnn.results.experiment import (
    TrialResult,
    distinct_best,
    find_experiment,
    read_results,
)


def results(tmp_path: Path, **changes: Any) -> list[TrialResult]:
    """Two results with large numbers; of the second one, some fields are changed."""
    large = {"flops": 1_234_567_890, "params": 1_234_567_890, "default": -12345.678}
    finals = [
        ("trialA", final(episode=11391, accuracy=100.0, repeats=100, **large)),
        ("trialB", final(episode=2, block=ONE_CONV)),
    ]
    make_experiment(tmp_path, finals=finals)
    first, second = read_results(find_experiment("abcd1234", tmp_path)).trials
    return [first, _changed(second, changes)]


def _changed(result: TrialResult, changes: dict[str, Any]) -> TrialResult:
    for name, value in changes.items():
        object.__setattr__(result, name, value)
    return result


@pytest.mark.parametrize("columns", [1, 10, 20, 40, 59, 60, 80, 100, 160])
def test_no_number_is_cut_at_any_width(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    columns: int,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    show_table(results(tmp_path), TableConsole())
    shown = capsys.readouterr().out
    for number in ("11391", "-12345.68", "100.00", "1234.57", "1,234,567,890", "100"):
        assert number in shown
    assert "…" not in shown
    if columns >= 40:
        assert max(map(len, shown.splitlines())) <= columns
    assert ("┃" in shown) == (columns >= 100)


def test_a_pipe_has_room_for_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    show_table(results(tmp_path), TableConsole())
    assert "┃" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("room", "shown"),
    [
        (-5, ""),
        (20, ""),
        (21, "best accuracy 60.50 %"),
        (34, "best accuracy 60.50 %"),
        (35, "best accuracy 60.50 %  reward 60.00"),
        (99, "best accuracy 60.50 %  reward 60.00  1 min 03 s left"),
    ],
)
def test_a_progress_bars_text_ends_before_a_number_would_be_cut(room: int, shown: str) -> None:
    text = "best accuracy 60.50 %  reward 60.00  1 min 03 s left"
    assert beginning(text, room) == shown
    assert beginning("training 3/14, epoch 2 of 12", 14) == "training 3/14"


MISSING = {"accuracy": None, "flops": None, "params": None, "repeats": None}


@pytest.mark.parametrize("columns", [40, 160])
def test_what_a_trial_did_not_report_is_blank(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    columns: int,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    show_table(results(tmp_path, **MISSING), TableConsole())
    shown = capsys.readouterr().out
    if columns == 40:
        assert "  2  episode 2, reward 60.50, layers 1,\n     trial trialB\n" in shown
    else:
        cells = [cell.strip() for cell in shown.splitlines()[4].split("│")[1:-1]]
        assert cells == ["2", "2", "60.50", "", "", "", "1", "", "trialB"]
    assert "None" not in shown


def test_machine_readable_forms_name_the_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = results(tmp_path, **MISSING)
    show_json(best)
    rows = json.loads(capsys.readouterr().out)
    assert [row["trial_id"] for row in rows] == ["trialA", "trialB"]
    assert [rows[1][name] for name in MISSING] == [None] * 4
    show_csv(best)
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [line["trial_id"] for line in lines] == ["trialA", "trialB"]
    assert [lines[1][name] for name in MISSING] == [""] * 4


def test_what_was_not_reported_ranks_last(tmp_path: Path) -> None:
    results(tmp_path)
    read = read_results(find_experiment("abcd1234", tmp_path))
    first, second = read.trials
    _changed(first, {"accuracy": None, "flops": None})
    assert distinct_best(read, 2, by="accuracy") == [second, first]
    assert distinct_best(read, 2, max_flops=10**12) == [second]
    _changed(second, {"accuracy": None, "flops": None})
    assert distinct_best(read, 2, by="accuracy") == [second, first]  # by reward, then


@pytest.mark.parametrize("text", [RESIDUAL, "residual\n", "\ufeff" + RESIDUAL])
def test_draw_reads_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["draw", "-"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "●     1 identity"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (io.TextIOWrapper(io.BytesIO(b"")), "standard input is empty"),
        (io.TextIOWrapper(io.BytesIO(b"\xff\xfe")), "standard input is no text file"),
        (io.TextIOWrapper(io.BytesIO(b"{}")), "standard input is not a file of finalists"),
        (None, "standard input is empty"),  # the shell closed it
    ],
)
def test_standard_input_that_holds_no_block(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: Any,
    message: str,
) -> None:
    monkeypatch.setattr("sys.stdin", given)
    assert main(["draw", "-"]) == 1
    assert message in capsys.readouterr().err


def test_draw_reads_what_can_be_read_but_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in ``blockqnn draw <(...)``."""
    import os
    import threading

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(RESIDUAL,))
    writer.start()
    assert main(["draw", str(pipe)]) == 0
    writer.join()
    assert "identity" in capsys.readouterr().out
