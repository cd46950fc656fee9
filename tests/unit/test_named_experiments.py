"""How an experiment is named on the command line: ID, its beginning, or a folder."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from made_experiments import final, make_experiment, write_list

from nni_blockqnn.bridge.experiments import (
    ExperimentNotFoundError,
    find_experiment,
    known_experiments,
)
from nni_blockqnn.bridge.launch import LaunchError
from nni_blockqnn.bridge.resuming import resume
from nni_blockqnn.cli import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """NNI's directory with one experiment, in which the shell stands."""
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / "nni-experiments"
    make_experiment(home, "abcd1234", finals=[("t", final())])
    write_list(home, abcd1234={"startTime": 1, "status": "STOPPED"})
    monkeypatch.chdir(home)
    return home


@pytest.mark.parametrize(
    "named",
    [
        "abcd1234",
        "ab",
        "abcd1234/",
        "./abcd1234",
        "../nni-experiments/abcd1234/",
        "link",
        "~/nni-experiments/abcd1234",
    ],
)
def test_one_of_nnis_list_is_the_same_by_any_name(home: Path, named: str) -> None:
    (home / "link").symlink_to(home / "abcd1234")
    experiment = find_experiment(named)
    assert (experiment.id, experiment.status) == ("abcd1234", "STOPPED")
    assert experiment.argument == "abcd1234"


def test_the_folder_in_which_one_stands(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home / "abcd1234")
    assert find_experiment(".").status == "STOPPED"


def test_a_copy_elsewhere_is_another_experiment_of_the_same_id(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "my backups" / "old"
    copy.parent.mkdir()
    (home / "abcd1234").rename(copy)
    make_experiment(home, "abcd1234")

    experiment = find_experiment(str(copy))

    assert (experiment.id, experiment.status) == ("abcd1234", "UNKNOWN")
    assert experiment.directory == copy
    assert experiment.argument == f"'{copy}'"
    original = home / "abcd1234"
    expected = [f"of the two, it goes on with that one: blockqnn resume {original}"]
    expected += [f"{original} is there without a database: remove it, then ln -s '{copy}'"]
    expected += [f"first ln -s '{copy}' {original}"]
    for message in expected:
        with pytest.raises(LaunchError, match=re.escape(message)):
            resume(experiment, None, loopback=True)
        if (original / "db").exists():
            shutil.rmtree(original / "db")
        elif original.exists():
            original.rmdir()


@pytest.mark.parametrize("command", ["top", "report"])
def test_commands_read_a_folder_that_no_list_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    make_experiment(tmp_path / "far", "abcd1234", finals=[("t", final())])
    options = ["-o", "page.html"] if command == "report" else []
    assert main([command, "far/abcd1234/", *options]) == 0


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("./nothing", "there is no folder ./nothing"),
        ("..", "the folder .. is no experiment of NNI: it has no db/nni.sqlite"),
        (".", "experiments are the folders in it: name abcd1234 or zyx"),
        ("nothing", "no experiment 'nothing' in .*; known are, newest first: zyx (unnamed), abcd"),
    ],
)
def test_what_names_no_experiment(home: Path, named: str, message: str) -> None:
    make_experiment(home, "zyx")
    with pytest.raises(ExperimentNotFoundError, match=message.replace("(unnamed)", ".unnamed.")):
        find_experiment(named)


def test_an_ambiguous_beginning_lists_what_it_may_mean(home: Path) -> None:
    make_experiment(home, "abzz9999")
    message = "2 experiments have an ID that begins with 'ab': name abcd1234 or abzz9999"
    with pytest.raises(ExperimentNotFoundError, match=message):
        find_experiment("ab")
    with pytest.raises(ExperimentNotFoundError, match="no experiment ''"):
        find_experiment("")


@pytest.mark.parametrize(
    "text", ["", '{"abcd1234": {"po', "[]", "\0\0", '{"abcd1234": {"logDir": 7}}']
)
def test_with_a_damaged_list_the_newest_is_found_by_its_own_records(home: Path, text: str) -> None:
    database = make_experiment(home, "newest")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("update ExperimentProfile set startTime = 9000, revision = 7")
    (home / ".experiment").write_text(text)
    assert find_experiment().id == "newest"
    assert find_experiment("abcd").id == "abcd1234"


def test_the_list_of_all_has_a_broken_one_in_its_place(home: Path) -> None:
    make_experiment(home, "broken").write_bytes(b"no database" * 1000)
    found = known_experiments()
    assert [getattr(one, "id", None) for one in found] == ["abcd1234", None]
    assert "broken/db/nni.sqlite" in str(found[1])


def test_a_configuration_that_is_no_json_is_said_of_the_database(home: Path) -> None:
    database = home / "abcd1234" / "db" / "nni.sqlite"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("update ExperimentProfile set params = '{'")
    with pytest.raises(RuntimeError, match=r"nni\.sqlite: the configuration in it must be a JSON"):
        find_experiment("abcd1234")
