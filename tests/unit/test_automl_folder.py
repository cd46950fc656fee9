"""The output folder of a search: whose it is, and which experiments are its stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from found_searches import CONFIG, REQUEST, experiment

from nni_blockqnn.automl._folder import SearchFolder
from nni_blockqnn.automl.request import RequestError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SearchFolder:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return SearchFolder(tmp_path / "found")


def test_the_folder_of_a_search_takes_its_arguments_again(folder: SearchFolder) -> None:
    folder.check(REQUEST)
    folder.claim(REQUEST, "data")
    folder.release()
    again = SearchFolder(folder.path)
    again.check(REQUEST)
    again.claim(REQUEST, "data")
    again.release()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": "cifar10"}, "data was 'digits', now it is 'cifar10'"),
        ({"hours": 2.0}, "hours was 0.5, now it is 2.0"),
        ({"trials": 20}, "trials was None, now it is 20"),
        ({"seed": 1}, "seed was 0, now it is 1"),
        ({"budget": "40M"}, "budget was 'auto', now it is '40M'"),
    ],
)
def test_another_search_is_refused_by_name(
    folder: SearchFolder, change: dict[str, Any], said: str
) -> None:
    folder.claim(REQUEST, "data")
    folder.release()
    with pytest.raises(RequestError, match="is the folder of another search") as refused:
        SearchFolder(folder.path).check(replace(REQUEST, **change))
    assert said in str(refused.value)
    assert str(folder.path) in str(refused.value)


def test_changed_data_is_refused(folder: SearchFolder) -> None:
    folder.claim(REQUEST, "data")
    folder.release()
    with pytest.raises(RequestError, match="'digits' has changed since"):
        SearchFolder(folder.path).claim(REQUEST, "other")
    SearchFolder(folder.path).claim(REQUEST, "data")  # it is not left locked


def test_two_searches_in_one_folder_are_refused(folder: SearchFolder) -> None:
    folder.claim(REQUEST, "data")
    with pytest.raises(RequestError, match="another search is at work in"):
        SearchFolder(folder.path).claim(REQUEST, "data")
    folder.release()


@pytest.mark.parametrize("damage", ["{", "[]", '{"request": 3}'])
def test_a_damaged_record_is_named(folder: SearchFolder, damage: str) -> None:
    folder.path.mkdir()
    (folder.path / "search.json").write_text(damage)
    with pytest.raises(RequestError, match=r"search\.json is damaged"):
        folder.check(REQUEST)


def test_a_folder_of_something_else_is_refused(folder: SearchFolder, tmp_path: Path) -> None:
    folder.path.mkdir()
    (folder.path / "holiday.jpg").write_text("")
    with pytest.raises(RequestError, match=r"not empty, it holds 'holiday\.jpg'"):
        folder.check(REQUEST)
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="is a file"):
        SearchFolder(tmp_path / "file").check(REQUEST)


def test_a_kill_before_the_claim_leaves_the_folder_free(folder: SearchFolder) -> None:
    folder.path.mkdir()
    for name in ("search.lock", "search.json.tmp"):
        (folder.path / name).touch()
    folder.check(REQUEST)
    folder.claim(REQUEST, "data")
    folder.release()
    assert not (folder.path / "search.json.tmp").exists()


def test_a_configuration_of_the_users_own_is_taken(folder: SearchFolder) -> None:
    folder.path.mkdir()
    folder.config.write_text("maxTrialNumber: 3\n")
    folder.check(REQUEST)


def test_a_full_disk_is_refused(folder: SearchFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 10 * 2**20})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(RequestError, match="with 10 MiB left, and a search needs 500"):
        folder.claim(REQUEST, "data")


def test_an_experiment_is_found_again_by_what_is_kept(folder: SearchFolder) -> None:
    folder.claim(REQUEST, "data")
    assert folder.experiment("search") is None
    experiment(folder, "abcd1234", CONFIG)
    assert folder.experiment("search") is None  # of some other folder
    folder.keep_experiment("search", "abcd1234")
    found = folder.experiment("search")
    assert found is not None
    assert found.id == "abcd1234"
    assert folder.experiment("finalists") is None
    folder.release()


def test_an_experiment_whose_id_a_kill_has_lost_is_known_by_its_folder(
    folder: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 4.0)  # that of NNI's records is 5
    folder.claim(REQUEST, "data")
    tuner = CONFIG["tuner"] | {"codeDirectory": str(folder.path)}
    experiment(folder, "abcd1234", CONFIG | {"tuner": tuner})
    finals = {"className": "nni_blockqnn.finalists_tuner.FinalistsTuner"}
    experiment(folder, "efgh5678", {"tuner": tuner | finals})
    for stage, name in (("search", "abcd1234"), ("finalists", "efgh5678")):
        found = folder.experiment(stage)
        assert found is not None
        assert found.id == name


def test_an_earlier_experiment_of_a_folder_of_this_name_is_left_alone(
    folder: SearchFolder,
) -> None:
    folder.claim(REQUEST, "data")  # now, and NNI's record says 1970
    tuner = CONFIG["tuner"] | {"codeDirectory": str(folder.path)}
    experiment(folder, "abcd1234", CONFIG | {"tuner": tuner})
    assert folder.experiment("search") is None
