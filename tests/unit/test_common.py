"""Whole-file writes and checks of values from outside."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nni_blockqnn.common.checks import is_integer, is_number
from nni_blockqnn.common.files import replaced, write_configuration, write_whole


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    write_whole(path, "ä")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def _fail_to_replace(path: Path, error: BaseException) -> None:
    with replaced(path) as file:
        file.write(b"half of the new")
        raise error


@pytest.mark.parametrize("error", [OSError("no room"), KeyboardInterrupt(), ValueError("torch's")])
def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "kept.json"
    write_whole(path, "old")
    with pytest.raises(type(error)):
        _fail_to_replace(path, error)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("value", "integer", "number"),
    [
        (3, True, True),
        (np.int64(3), True, True),
        (10**400, True, False),
        (3.0, False, True),
        (np.float32(0.5), False, True),
        (float("nan"), False, False),
        (float("inf"), False, False),
        (True, False, False),
        (np.bool_(True), False, False),
        ("3", False, False),
        (None, False, False),
        (np.array([1, 2]), False, False),
        (1j, False, False),
    ],
)
def test_numbers_from_outside(value: Any, integer: bool, number: bool) -> None:
    assert is_integer(value) is integer
    assert is_number(value) is number


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_whole(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, "through it")
    assert os.read(reader, 100) == b"through it"
    os.close(reader)
    assert pipe.is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe", "target"]


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("machineList:\n- {host: a, user: me, password: secret}\n", 0o600),
        ('{"machineList": [{"sshPassphrase": "secret"}]}\n', 0o600),
        ("# a web UI without a password\ntrialConcurrency: 1\n", 0o644),
    ],
)
def test_a_configuration_with_a_password_is_its_owners_alone(
    tmp_path: Path, text: str, mode: int
) -> None:
    path = tmp_path / "search.yml"
    before = os.umask(0o022)
    try:
        write_configuration(path, "trialConcurrency: 1\n")
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        path.with_name("search.yml.tmp").write_text("what a kill left")
        write_configuration(path, text)
    finally:
        os.umask(before)
    assert path.read_text(encoding="utf-8") == text
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert [*tmp_path.iterdir()] == [path]
