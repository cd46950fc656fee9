"""Functions and classes that a string names as ``module:name``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nni_blockqnn.common.plugins import is_reference, load_object


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory, out of Python's own path, with modules that are forgotten later."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rewards:latency", True),
        ("my_package.rewards:Latency_2", True),
        ("cifar10", False),
        ("rewards:", False),
        (":latency", False),
        ("rewards:a.b", False),
        ("a b:c", False),
        ("rewards.py:latency", True),  # a module `py` of a package `rewards`
        ("./rewards:latency", False),
        ("rewards:latency\n", False),
    ],
)
def test_references(text: str, expected: bool) -> None:
    assert is_reference(text) is expected


def test_modules_lie_in_the_current_directory_or_on_pythons_path(folder: Path) -> None:
    (folder / "rewards_here.py").write_text("def flat():\n    return 7\n")
    assert load_object("rewards_here:flat", "a reward")() == 7
    assert load_object("collections.abc:Mapping", "a class").__name__ == "Mapping"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("digits", "a reward must be given as module:name, got 'digits'"),
        (
            "rewards_gone:flat",
            "cannot load a reward from 'rewards_gone:flat': there is no module rewards_gone on",
        ),
        ("gone.rewards:flat", "there is no module gone on Python's path"),
        ("rewards_here:steep", r"module rewards_here \(.*rewards_here.py\) has no steep"),
        ("rewards_here:NUMBER", "it must be a function or a class, got 7"),
        ("imports_more:f", "imports_more cannot be imported: ModuleNotFoundError: No module named"),
        ("broken:f", "module broken cannot be imported: ZeroDivisionError: division by zero"),
    ],
)
def test_errors_name_the_text_the_module_and_what_is_missing(
    text: str, message: str, folder: Path
) -> None:
    (folder / "rewards_here.py").write_text("NUMBER = 7\n")
    (folder / "imports_more.py").write_text("import surely_not_installed\n")
    (folder / "broken.py").write_text("1 / 0\n")
    with pytest.raises(ValueError, match=message):
        load_object(text, "a reward")
