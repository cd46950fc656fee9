"""How an experiment stands, why its trials failed, and which networks were lost."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from made_experiments import ONE_CONV, RESIDUAL, final, make_experiment, write_list

from nni_blockqnn.bridge import managers
from nni_blockqnn.cli import main
from nni_blockqnn.commands import top as top_command
from nni_blockqnn.results import status as status_module
from nni_blockqnn.results.experiment import Results, find_experiment, read_results
from nni_blockqnn.results.problems import problem_groups
from nni_blockqnn.results.search_journal import LostNetwork, lost_networks
from nni_blockqnn.results.status import end_in_words, read_status

GAVE_UP = "The search ends: the last 10 trials failed, the last one since no data in /x"


class Manager:
    """A process as psutil shows it."""

    pid = 4711

    def __init__(self, home: Path, experiment_id: str = "abcd1234", action: str = "create") -> None:
        self._command = ["node", "main.js", "--port", "8099", "--experiment-id", experiment_id]
        self._command += ["--action", action, "--experiments-directory", str(home)]

    def cmdline(self) -> list[str]:
        return self._command


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    runs(monkeypatch)
    return tmp_path / "nni-experiments"


def runs(monkeypatch: pytest.MonkeyPatch, *processes: Manager) -> None:
    monkeypatch.setattr(managers.psutil, "process_iter", lambda: iter(processes))


def search(
    home: Path,
    *trials: tuple[str, Any],
    status: str = "RUNNING",
    config: dict[str, Any] | None = None,
) -> Results:
    """An experiment with a trial for each status and final metric, None for no metric."""
    events = [(1_000, f"t{number}", one) for number, (one, _) in enumerate(trials)]
    finals = [(f"t{number}", one) for number, (_, one) in enumerate(trials) if one is not None]
    config = {"maxTrialNumber": 10, "experimentName": "digits"} | (config or {})
    make_experiment(home, finals=finals, events=events, config=config)
    write_list(home, abcd1234={"startTime": 1, "status": status, "port": 8099})
    return read_results(find_experiment())


def write(home: Path, path: str, text: str) -> Path:
    file = home / "abcd1234" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


DONE = ("SUCCEEDED", final())
FAILED = ("FAILED", {"failure": "no data in /x", "episode": 1, "block": ONE_CONV, "default": 0})
SILENT = ("FAILED", None)
UNDER_WAY = ("RUNNING", None)


@pytest.mark.parametrize(
    ("listed", "is_there", "trials", "text", "why"),
    [
        ("RUNNING", True, [], "starting: 0 of 10 trials done", ""),
        ("RUNNING", True, [DONE, UNDER_WAY], "running: 1 of 10 trials done, 1 running", ""),
        ("NO_MORE_TRIAL", True, [UNDER_WAY], "running: 0 of 10 trials done, 1 running", ""),
        ("RUNNING", False, [DONE, UNDER_WAY], "killed: 1 of 10 trials done", "its manager"),
        ("RUNNING", False, [DONE] * 10, "finished: 10 of 10 trials done", ""),
        ("STOPPED", False, [DONE], "stopped: 1 of 10 trials done", ""),
        ("STOPPED", False, [DONE] * 10, "finished: 10 of 10 trials done", ""),
        ("DONE", True, [DONE], "finished: 1 of 10 trials done", ""),
        ("ERROR", True, [DONE], "failed: 1 of 10 trials done", "NNI's logs say why"),
    ],
)
def test_states(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    listed: str,
    is_there: bool,
    trials: list[tuple[str, Any]],
    text: str,
    why: str,
) -> None:
    if is_there:
        runs(monkeypatch, Manager(home))
    status = read_status(search(home, *trials, status=listed))
    assert status.text == text
    assert why in status.why
    assert bool(status.why) == bool(why)


@pytest.mark.parametrize(
    ("listed", "is_there"), [("TUNER_NO_MORE_TRIAL", True), ("STOPPED", False)]
)
@pytest.mark.parametrize(
    ("log", "state", "why"),
    [
        (f"Dispatcher started\n{GAVE_UP}\n", "given up", "the last 10 trials failed"),
        (
            "Dispatcher started\nThe search ends: all blocks of the space are trained",
            "finished",
            "all",
        ),
        (f"Dispatcher started\n{GAVE_UP}\nDispatcher started\n", "stopped", ""),
    ],
)
def test_a_search_that_its_tuner_ended(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    listed: str,
    is_there: bool,
    log: str,
    state: str,
    why: str,
) -> None:
    if is_there:
        runs(monkeypatch, Manager(home))
        state = "finished" if state == "stopped" else state  # it has no more, and does not say why
    results = search(home, FAILED, status=listed)
    write(home, "log/dispatcher.log", log)
    status = read_status(results)
    assert status.state == state
    assert status.why.startswith(why)


def test_an_experiment_that_nnis_list_lost_is_asked_for_its_status(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = search(home, DONE)
    (home / ".experiment").write_text("{")
    asked: list[Any] = []

    def answer(one: Any) -> str:
        asked.append(one)
        return "RUNNING"

    monkeypatch.setattr(status_module.launch, "status", answer)
    results = read_results(find_experiment())
    assert read_status(results).state == "stopped"
    runs(monkeypatch, Manager(home))
    assert read_status(results).state == "running"
    assert asked == [("abcd1234", 8099)]


@pytest.mark.parametrize(
    "process",
    [
        Manager(Path("/elsewhere")),
        Manager(Path("nni-experiments"), "abcd1234", "view"),
        Manager(Path("nni-experiments"), "abcd12345"),
    ],
)
def test_another_manager_is_not_taken_for_its_own(
    home: Path, monkeypatch: pytest.MonkeyPatch, process: Manager
) -> None:
    monkeypatch.chdir(home.parent)
    runs(monkeypatch, process)
    assert read_status(search(home, DONE)).state == "killed"


def test_the_end_is_expected_at_the_pace_so_far(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(monkeypatch, Manager(home))
    results = search(home, DONE, DONE, FAILED, UNDER_WAY)  # in 90 s
    assert read_status(results).seconds_left == 210
    config = results.experiment.config | {"maxExperimentDuration": "3m"}
    assert read_status(_with_config(results, config)).seconds_left == 90
    config = {"maxExperimentDuration": 100}
    assert read_status(_with_config(results, config)).seconds_left == 10
    assert read_status(_with_config(results, {})).seconds_left is None
    assert read_status(_with_config(results, {})).text == "running: 3 trials done, 1 running"


def _with_config(results: Results, config: Any) -> Results:
    return replace(results, experiment=replace(results.experiment, config=config))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (10, "about 1 min left, until "),
        (3_600, "about 1 h 0 min left, until "),
        (200_000, "about 2 d 7 h left, until 1970-01-"),
        (1e18, "about 11,574,074,074,074 d 1 h left"),
    ],
)
def test_the_end_in_words(seconds: float, text: str) -> None:
    assert end_in_words(seconds, now=43_200.0).startswith(text)


def test_equal_reasons_are_one_line(home: Path) -> None:
    def out_of_memory(size: int) -> tuple[str, Any]:
        reason = {"failure": f"out of memory: tried to allocate {size} GiB", "default": 0}
        return "FAILED", FAILED[1] | reason

    results = search(home, *map(out_of_memory, range(1, 11)), FAILED, DONE)
    log = write(home, "environments/local-env/trials/t9/trial.stderr", "x")
    first, second = problem_groups(results)
    assert (first.count, first.fate, first.trial_id, first.log) == (10, "failed", "t9", log)
    assert first.reason == "out of memory: tried to allocate 10 GiB"
    assert (second.count, second.reason, second.log) == (1, "no data in /x", None)


def test_reasons_that_differ_in_names_of_trials_and_addresses_are_equal(home: Path) -> None:
    reasons = ("/x/t0/cache: object at 0x7f3a", "/x/t1/cache: object at 0xdeadbeef")
    results = search(home, *(("FAILED", FAILED[1] | {"failure": reason}) for reason in reasons))
    assert [(one.count, one.reason) for one in problem_groups(results)] == [(2, reasons[1])]


def test_a_trial_that_said_nothing_is_asked_for_its_last_line(home: Path) -> None:
    results = search(home, SILENT, SILENT, ("USER_CANCELED", None), ("SUCCEEDED", None), UNDER_WAY)
    for number in (0, 1):
        text = f"Traceback\n  line {number}\nModuleNotFoundError: No module named 'mine'\n\n"
        write(home, f"environments/local-env/trials/t{number}/trial.stderr", text)
    assert [(one.count, one.fate, one.reason) for one in problem_groups(results)] == [
        (2, "failed", "ModuleNotFoundError: No module named 'mine'"),
        (1, "killed", "its process ended by a signal, of the system or a user"),
        (1, "unreadable", "it ended without a result"),
    ]


def journal(home: Path, *events: dict[str, Any]) -> None:
    lines = []
    for event in events:
        text = json.dumps(event, separators=(",", ":"))
        lines.append(f'{text[:-1]},"crc32":{zlib.crc32(text.encode())}}}\n')
    write(home, "checkpoint/blockqnn-journal.jsonl", "".join(lines))


def suggestion(episode: int, block: str, **more: Any) -> dict[str, Any]:
    return {"event": "suggestion", "episode": episode, "block": block, "epsilon": 0.5} | more


def release(episode: int) -> dict[str, Any]:
    return {"event": "release", "episode": episode, "failed": True}


def test_lost_networks_are_those_of_which_no_trial_said_anything(home: Path) -> None:
    journal(
        home,
        {"event": "start", "seed": 1},
        *(one for n in range(3) for one in (suggestion(n, RESIDUAL, repeats=2), release(n))),
        suggestion(3, ONE_CONV, repeats=2),
        release(3),
        suggestion(4, ONE_CONV, repeats=3),  # another network
        release(4),
        {"event": "result", "episode": 4},  # which came after all
        suggestion(5, "[[1,2,3,0,0]]"),
        suggestion(6, "[[1,4,0,0,0]]"),
        release(6),
        suggestion(7, "[[1,4,0,0,0]]"),
        {"event": "failure", "episode": 7},  # it has said why, the second time
        {"event": "something new"},
        release(99),
    )
    assert lost_networks(home / "abcd1234") == [
        LostNetwork(RESIDUAL, 2, 3),
        LostNetwork(ONE_CONV, 2, 1),
    ]
    assert [network.is_given_up for network in lost_networks(home / "abcd1234")] == [True, False]


def test_a_lost_network_is_one_whatever_the_order_of_its_layers(home: Path) -> None:
    orders = ["[[1,1,3,0,0],[2,1,5,1,0],[3,2,3,1,0]]", "[[1,1,3,0,0],[2,2,3,1,0],[3,1,5,1,0]]"]
    journal(home, *(one for n in range(3) for one in (suggestion(n, orders[n % 2]), release(n))))
    assert lost_networks(home / "abcd1234") == [LostNetwork(orders[0], None, 3)]


def test_without_a_journal_nothing_is_lost(tmp_path: Path) -> None:
    assert lost_networks(tmp_path) == []


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


def test_a_manager_is_found_among_real_processes(tmp_path: Path) -> None:
    """Other users' and those that end meanwhile do no harm."""
    make_experiment(tmp_path)
    assert managers.find_manager(find_experiment("abcd1234", tmp_path)) is None
    assert managers.port_of(psutil.Process()) is None
