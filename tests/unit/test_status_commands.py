"""What `top`, `list`, `stop` and the report say of how an experiment stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_experiments import ONE_CONV, RESIDUAL, make_experiment, write_list
from standing_experiments import (
    DONE,
    FAILED,
    GAVE_UP,
    SILENT,
    UNDER_WAY,
    Manager,
    journal,
    release,
    runs,
    search,
    suggestion,
    write,
)

from nni_blockqnn.bridge import managers
from nni_blockqnn.cli import main
from nni_blockqnn.commands import top as top_command


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    runs(monkeypatch)
    return tmp_path / "nni-experiments"


def test_top_of_an_experiment_whose_trials_all_failed(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search(home, *[FAILED] * 9, SILENT, status="STOPPED")
    log = write(home, "environments/local-env/trials/t9/trial.stderr", "Killed\n")
    journal(home, suggestion(0, RESIDUAL), release(0))
    assert main(["top"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "digits (abcd1234)",
        "finished: 10 of 10 trials done",
        "9 x failed: no data in /x (the last one: trial t8; its log: nnictl view abcd1234)",
        f"1 x failed: Killed (trial t9; {log})",
        "lost: 1 trial of 1 network said nothing",
        "no result: 10 trials ended",
    ]
    assert main(["top", "--format", "csv"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("episode,trial_id,reward,")
    assert "9 x failed: no data in /x" in shown.err
    assert "digits (abcd1234): no result: 10 trials ended" in shown.err


def test_top_says_how_it_stands_and_what_to_type(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs(monkeypatch, Manager(home))
    search(home, DONE, UNDER_WAY)
    journal(home, *(one for n in range(3) for one in (suggestion(n, RESIDUAL), release(n))))
    assert main(["top"]) == 0
    said = capsys.readouterr().out
    assert "running: 1 of 10 trials done, 1 running; epsilon 0.5; about 14 min left, until" in said
    assert f"not sent again, since they were sent 3 times or more: {RESIDUAL}" in said
    assert "blockqnn top abcd1234 --watch" in said
    assert "blockqnn stop abcd1234" in said
    assert "resume" not in said


@pytest.mark.parametrize(
    ("status", "trials", "is_there", "commands"),
    [
        ("STOPPED", [DONE], False, ["resume", "top", "report"]),
        ("STOPPED", [DONE] * 10, False, ["top", "report"]),
        ("DONE", [DONE] * 10, True, ["stop", "top", "report"]),
        ("RUNNING", [], False, ["resume"]),
        ("TUNER_NO_MORE_TRIAL", [FAILED], False, ["resume"]),
        ("TUNER_NO_MORE_TRIAL", [FAILED], True, ["stop", "resume"]),
    ],
)
def test_what_to_type_of_one_that_is_over(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: str,
    trials: list[tuple[str, Any]],
    is_there: bool,
    commands: list[str],
) -> None:
    if is_there:
        runs(monkeypatch, Manager(home))
    search(home, *trials, status=status)
    write(home, "log/dispatcher.log", GAVE_UP if status == "TUNER_NO_MORE_TRIAL" else "")
    assert main(["top"]) == 0
    lines = capsys.readouterr().out.splitlines()
    typed = [line.partition("blockqnn ")[2].split()[0] for line in lines if " blockqnn " in line]
    assert typed == commands


def test_watch_follows_it_to_its_end(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs(monkeypatch, Manager(home))
    search(home, DONE, UNDER_WAY)
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            write_list(home, abcd1234={"startTime": 1, "status": "STOPPED"})

    monkeypatch.setattr(top_command.time, "sleep", wait)
    assert main(["top", "--watch"]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("running: 1 of 10 trials done, 1 running; about")
    assert last == "stopped: 1 of 10 trials done"
    assert main(["top", "--watch", "--format", "json"]) == 1
    assert "leave --output, --format and --json out" in capsys.readouterr().err


def test_ctrl_c_ends_only_the_watching(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    runs(monkeypatch, Manager(home))
    search(home, DONE, UNDER_WAY)
    monkeypatch.setattr(top_command.time, "sleep", interrupt)
    assert main(["top", "--watch"]) == 0
    assert capsys.readouterr().out.endswith("The experiment goes on.\n")


def test_the_report_tells_which_networks_were_lost(home: Path) -> None:
    search(home, DONE)
    journal(home, *(one for n in range(3) for one in (suggestion(n, ONE_CONV), release(n))))
    path = home / "report.html"
    assert main(["report", "-o", str(path)]) == 0
    page = " ".join(path.read_text().split())
    assert "3 trials of 1 network ended without a word" in page
    assert "since it was lost three times: 1 network</p>" in page
    assert f"<pre>{ONE_CONV}</pre>" in page


def test_list_shows_those_of_blockqnn_and_counts_the_others(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    search(home, DONE, UNDER_WAY, config={"tuner": {"name": "BlockQNN"}})
    make_experiment(home, "finals01", config={"searchSpace": {"block": {}}})
    make_experiment(home, "other001", config={"tuner": {"name": "TPE"}, "trialCommand": "python x"})
    make_experiment(home, "broken01").write_bytes(b"no database" * 1000)
    runs(monkeypatch, Manager(home))
    monkeypatch.setenv("COLUMNS", "30")
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    assert "abcd1234, digits, running, 1\n  of 10\n" in said
    assert "finals01, stopped, 0\n" in said
    assert "broken01/db/nni.sqlite" in said
    assert "1 other NNI experiment" in said
    assert "other001" not in said
    monkeypatch.delenv("COLUMNS")
    assert main(["list"]) == 0
    assert "│ abcd1234 │ digits │ running │ 1 of 10     │" in capsys.readouterr().out


def test_scripts_get_json(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    search(home, DONE, UNDER_WAY, config={"tuner": {"name": "BlockQNN"}})
    make_experiment(home, "broken01").write_bytes(b"no database" * 1000)
    runs(monkeypatch, Manager(home))
    assert main(["list", "--json"]) == 0
    listed = capsys.readouterr()
    (of_search,) = json.loads(listed.out)
    expected = {"id": "abcd1234", "name": "digits", "state": "running", "ended": 1, "planned": 10}
    assert of_search.items() >= expected.items()
    assert "broken01" in listed.err
    assert main(["top", "abcd1234", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.items() >= expected.items()
    assert found["problems"] == []
    assert main(["top", "abcd1234", "--format", "json"]) == 0
    assert found["best"] == json.loads(capsys.readouterr().out) != []


def test_list_of_nothing_says_how_to_begin(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert capsys.readouterr().out == "no experiment of blockqnn yet; start one: blockqnn demo\n"


class Ending(Manager):
    """A manager that ends when it is told to, unless it hangs."""

    hangs = False
    told = False

    def terminate(self) -> None:
        self.told = True

    def wait_procs(self, processes: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        return ([], processes) if self.hangs else (processes, [])


@pytest.mark.parametrize("named", ["abcd1234", "abcd", "nni-experiments/abcd1234/"])
def test_stop_stops_the_named_one_and_no_other(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], named: str
) -> None:
    monkeypatch.chdir(home.parent)
    own, other = Ending(home), Ending(home, "abxx9999")
    runs(monkeypatch, other, own)
    monkeypatch.setattr(managers.psutil, "wait_procs", own.wait_procs)
    search(home, DONE, status="STOPPED", config={"tuner": {"name": "BlockQNN"}})
    make_experiment(home, "abxx9999")
    assert main(["stop", named]) == 0
    assert (own.told, other.told) == (True, False)
    assert capsys.readouterr().out == (
        "experiment abcd1234 is stopped: 1 of 10 trials done; "
        "go on later: blockqnn resume abcd1234\n"
    )


def test_what_stop_does_not_stop(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    search(home, DONE, config={"tuner": {"name": "BlockQNN"}})
    make_experiment(home, "foreign1", config={"tuner": {"name": "TPE"}, "trialCommand": "x"})
    manager = Ending(home)
    foreign = Ending(home, "foreign1")
    assert main(["stop", "abcd1234"]) == 0  # it does not run
    assert capsys.readouterr().out == "experiment abcd1234 does not run\n"
    runs(monkeypatch, foreign, manager)
    assert main(["stop", "foreign1"]) == 1
    assert "is not one of blockqnn: nnictl stop foreign1" in capsys.readouterr().err
    assert not foreign.told
    manager.hangs = True
    monkeypatch.setattr(managers.psutil, "wait_procs", manager.wait_procs)
    assert main(["stop", "abcd"]) == 1
    assert "its manager, process 4711, still runs" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["stop"])
