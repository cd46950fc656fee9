"""Other machines for the trainings: their list, and the configuration that it gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from search_plans import DIGITS, plan_of

from nni_blockqnn.automl._hosts import Host, read_hosts
from nni_blockqnn.automl._machine import Machine, machine_for
from nni_blockqnn.automl.configuration import configuration, plan_lines
from nni_blockqnn.automl.request import Request, RequestError
from nni_blockqnn.commands._config_file import load_config


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "my key"
    path.write_text("a key")
    return path


def listed(tmp_path: Path, entries: Any) -> Path:
    path = tmp_path / "hosts.yml"
    path.write_text(entries if isinstance(entries, str) else yaml.safe_dump(entries))
    return path


def test_hosts_as_they_are_listed(tmp_path: Path, key: Path) -> None:
    text = (
        f"- {{host: gpu1, user: me, key: '{key}', python: /my/bin, port: 2222, gpus: 4}}\n"
        "- {host: 10.0.0.2, user: you, password: 's: #1', gpus: 2}\n"
    )
    assert read_hosts(listed(tmp_path, text)) == (
        Host("gpu1", "me", 2222, str(key), None, "/my/bin", 4),
        Host("10.0.0.2", "you", 22, None, "s: #1", None, 2),
    )


def test_the_usual_key_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = listed(tmp_path, [{"host": "a", "user": "me"}])
    with pytest.raises(RequestError, match=r"host 1: key must be a file of a private key, got"):
        read_hosts(path)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_rsa").write_text("a key")
    assert read_hosts(path)[0].key == str(tmp_path / ".ssh" / "id_rsa")


GOOD = {"host": "a", "user": "me", "password": "x"}


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ("", r"must be a list of hosts such as \[\{host: gpu1, .* got None"),
        ("[]", r"must be a list of hosts"),
        ("host: a", r"must be a list of hosts .* got \{'host': 'a'\}"),
        ("[{", r"hosts\.yml is no YAML"),
        ("- gpu1", r"host 1 must be an object such as \{host: gpu1.* got 'gpu1'"),
        ([GOOD, {"host": "b"}], r"host 2: user is missing"),
        ([{"user": "me"}], r"host 1: host is missing"),
        ([GOOD | {"pythn": "/x"}], r"'pythn' is no field of a host, .*; did you mean python\?"),
        ([GOOD | {"port": "22"}], r"host 1: port must be 1 to 65,535, got '22'"),
        ([GOOD | {"port": 0}], r"port must be 1 to 65,535, got 0"),
        ([GOOD | {"port": True}], r"port must be 1 to 65,535, got True"),
        ([GOOD | {"gpus": 0}], r"gpus must be 1 to 1,000, got 0"),
        ([GOOD | {"host": ""}], r"host must be a text, got ''"),
        ([GOOD | {"password": 123}], r"password must be a text, got 123"),
        ([GOOD | {"key": "/nowhere"}], r"give key or password, not both"),
        ([{"host": "a", "user": "me", "key": "/nowhere"}], r"key must be a file .* '/nowhere'"),
        ([GOOD, GOOD], r"has me@a:22 twice"),
        ([GOOD, GOOD | {"host": "b", "gpus": 4}], r"several gpus and others with one"),
    ],
)
def test_a_wrong_list_is_named(entries: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=said) as refused:
        read_hosts(listed(tmp_path, entries))
    assert str(refused.value).startswith(f"remote: {tmp_path / 'hosts.yml'}")


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"nowhere\.yml cannot be read: No such file"):
        read_hosts(tmp_path / "nowhere.yml")


def test_each_host_runs_a_trial_and_each_gpu_of_several(tmp_path: Path) -> None:
    def at_a_time(gpus: int, **asked: int) -> int:
        entries = [GOOD | {"host": name, "gpus": gpus} for name in "abc"]
        request = Request("digits", 1.0, remote=listed(tmp_path, entries), **asked)
        machine = machine_for(request)
        assert machine.trials_with_a_gpu is (gpus > 1)
        return machine.at_a_time

    assert (at_a_time(1), at_a_time(4), at_a_time(1, concurrency=6)) == (3, 12, 6)


@pytest.mark.filterwarnings("ignore:SSH password will be exposed")
@pytest.mark.parametrize("gpus", [1, 4])
def test_the_configuration_is_one_of_other_machines(gpus: int, tmp_path: Path, key: Path) -> None:
    hosts = (
        Host("gpu1", "me", key=str(key), python="/home/me/venv/bin", gpus=gpus),
        Host("gpu2", "me", 2222, password="s: #1 {", gpus=gpus),
    )
    plan = replace(plan_of(DIGITS), machine=Machine(0, 2 * gpus, 1, hosts))
    path = tmp_path / "search.yml"
    path.write_text(configuration(plan), encoding="utf-8")
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert written["trainingService"] == {
        "platform": "remote",
        "reuseMode": False,
        "machineList": [
            {
                **{"host": "gpu1", "port": 22, "user": "me", "sshKeyFile": str(key)},
                "pythonPath": "/home/me/venv/bin",
            },
            {"host": "gpu2", "port": 2222, "user": "me", "password": "s: #1 {"},
        ],
    }
    assert "--device" not in written["trialCommand"]
    assert "--threads" not in written["trialCommand"]
    assert load_config(path).trial_gpu_number == (1 if gpus > 1 else None)
    assert f"{2 * gpus} at a time on gpu1, gpu2" in "\n".join(plan_lines(plan))


def test_gpus_of_other_machines_are_in_their_list() -> None:
    with pytest.raises(RequestError, match=r"gpus are this machine's; .* hosts\.yml in that list"):
        Request("digits", 1.0, remote=Path("hosts.yml"), gpus=1)


def test_a_request_names_its_list_by_an_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written = Request("digits", 1.0, remote=Path("hosts.yml")).to_json()
    assert written["remote"] == str(tmp_path / "hosts.yml")
    assert Request("digits", 1.0).to_json()["remote"] is None
