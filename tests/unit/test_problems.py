"""Why trials of an experiment failed, and which networks were lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_experiments import ONE_CONV, RESIDUAL
from standing_experiments import (
    DONE,
    FAILED,
    SILENT,
    UNDER_WAY,
    journal,
    release,
    runs,
    search,
    suggestion,
    write,
)

from nni_blockqnn.results.problems import problem_groups
from nni_blockqnn.results.search_journal import LostNetwork, lost_networks


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    runs(monkeypatch)
    return tmp_path / "nni-experiments"


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
