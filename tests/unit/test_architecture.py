"""The rooms of the package and the arrows between them (docs/architecture.md; DESIGN)."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx as nx
import pytest

import nni_blockqnn

PACKAGE = Path(nni_blockqnn.__file__).parent

PAPER = {"common", "blocks", "network", "space", "predictor", "q_learning", "calibration"}
"""Knows numpy, scipy and networkx; no torch, no NNI, no files."""
PYTORCH = {"data", "tasks", "model_space", "training", "export"}
"""Knows torch; never NNI."""
NNI = {
    "exchange",
    "record",
    "results",
    "bridge",
    "trials",
    "commands",
    "reports",
    "automl",
    "hosts",
}
ENTRY_POINTS = {"__main__", "cli", "tuner", "finalists_tuner", "trial"}
"""Modules that people and configurations name, so they stay at the top."""

ARROWS = {
    "common": "",
    "blocks": "common",
    "network": "blocks common",
    "space": "blocks common network",
    "predictor": "blocks network",
    "q_learning": "blocks common predictor space",
    "calibration": "blocks space",
    "data": "common network",
    "tasks": "common data network",
    "model_space": "blocks network",
    "training": "common data network tasks",
    "export": "blocks common model_space network training",
    "exchange": "blocks common network q_learning space",
    "record": "blocks common q_learning",
    "bridge": "common",
    "hosts": "common",
    "results": "blocks bridge common exchange network predictor q_learning record space",
    "trials": "blocks bridge common data exchange export model_space network reports tasks "
    "training",
    "reports": "blocks calibration common export network results training",
    "automl": "blocks bridge common data exchange export model_space network reports results space "
    "tasks training trials",
    "commands": "automl blocks bridge calibration common data exchange export hosts model_space "
    "network q_learning reports results space tasks training trials",
    "tuner": "bridge common exchange hosts q_learning record space",
    "finalists_tuner": "bridge exchange results",
    "trial": "bridge common trials",
    "cli": "commands common",
    "__main__": "cli common",
}
"""What each room and each entry point imports. An arrow that is not here is a decision to take."""

FILES_AND_PROCESSES = {"io", "os", "pathlib", "shutil", "socket", "subprocess", "tempfile"}
LAYER_KINDS = "blocks/kinds/*"
"""Modules of the lowest storey that build PyTorch's modules, in functions that import it."""
WITH_FILES = {
    f"common/{name}.py"
    for name in ("closed_pipe", "cores", "files", "patches", "streams", "torchrun")
}
"""Modules of the lowest storey that the paper's own rooms leave alone."""

RUN_BY_NAME = {
    *("commands/*", "bridge/patient_nnictl.py"),
    *("trials/check.py", "trials/resident.py"),
}
"""Modules that a command line names: the command `blockqnn` and `python -m` import them late."""

FOR_USERS = {"space/choices.py", "q_learning/agent.py", "q_learning/settings.py", "blocks/kinds/*"}
"""Modules that examples and docs name, though this package does without."""

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
"""The files by dotted name below the package; its own __init__.py is "__init__"."""


def _room(name: str) -> str:
    """'data' of data._cifar, 'cli' of cli."""
    return name.partition(".")[0]


def _runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All below a node but what only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield child
            yield from _runtime_nodes(child)


@cache
def _imports(name: str) -> tuple[str, ...]:
    """Full names of all that a module imports, anywhere in it; `from a import b` is a.b."""
    found: list[str] = []
    for node in _runtime_nodes(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: imports are written out in full"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return tuple(found)


def _libraries(name: str) -> set[str]:
    return {name.partition(".")[0] for name in _imports(name)} - {"nni_blockqnn", "__future__"}


def _own_imports(name: str) -> set[str]:
    """Modules of this package that a module imports."""
    found = set()
    for imported in _imports(name):
        package, _, below = imported.partition(".")
        if package == "nni_blockqnn":
            # the last part may be a name in a module, and the package's own names come from it
            found.add(below if below in MODULES else below.rpartition(".")[0] or "__init__")
    return found


def _of(storey: set[str]) -> list[str]:
    return [name for name in MODULES if _room(name) in storey]


def test_the_imports_are_read_as_they_are_written() -> None:
    """Else the tests below would pass for want of imports."""
    assert "networkx" in _libraries("blocks.block")
    assert _own_imports("tuner") >= {"record.journal", "space.search_space", "q_learning.search"}
    assert _own_imports("trials.run") >= {"bridge.channel", "training"}  # a module, and a room
    assert "torch" in _libraries("model_space.network")


def test_nothing_lies_loose_at_the_top() -> None:
    assert {_room(name) for name in MODULES} - {"__init__"} == set(ARROWS)
    assert set(ARROWS) == PAPER | PYTORCH | NNI | ENTRY_POINTS
    assert {name for name in MODULES if "." not in name and MODULES[name].stem == name} == (
        ENTRY_POINTS | {"__init__"}
    )


@pytest.mark.parametrize("room", ARROWS)
def test_every_arrow_is_drawn(room: str) -> None:
    targets = {_room(target) for name in _of({room}) for target in _own_imports(name)}
    assert targets - {room, "__init__"} == set(ARROWS[room].split())


def test_no_two_rooms_import_each_other() -> None:
    graph = nx.DiGraph((room, target) for room in ARROWS for target in ARROWS[room].split())
    assert list(nx.simple_cycles(graph)) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """A module also runs the `__init__` of the rooms that it imports from."""
    graph = nx.DiGraph()
    for name in MODULES:
        for target in _own_imports(name) - {"__init__"}:
            graph.add_edge(name, target)
            if _room(target) != _room(name) and "." in target:
                graph.add_edge(name, _room(target))
    assert list(nx.simple_cycles(graph)) == []


@pytest.mark.parametrize("name", MODULES)
def test_modules_of_a_room_are_its_own_unless_others_use_them(name: str) -> None:
    """A leading underscore says that only the room itself imports a module, and it is true."""
    path = MODULES[name].relative_to(PACKAGE)
    if path.name == "__init__.py" or len(path.parts) == 1:
        return
    others = [other for other in MODULES if _room(other) != _room(name)]
    is_used = any(name in _own_imports(other) for other in others)
    exported = {*_own_imports(_room(name)), *nni_blockqnn._HOMES.values()}
    by_name = any(path.match(pattern) for pattern in RUN_BY_NAME | FOR_USERS)
    is_private = path.name.startswith("_")
    assert not (is_private and is_used), f"{name} is used from outside: drop its underscore"
    assert is_private or is_used or name in exported or by_name, f"{name} is only used in its room"


@pytest.mark.parametrize("name", _of(PAPER))
def test_the_papers_storey_stands_alone(name: str) -> None:
    libraries = _libraries(name)
    if MODULES[name].relative_to(PACKAGE).match(LAYER_KINDS):
        libraries.discard("torch")  # the test below holds that it is not imported at once
    assert libraries <= {"networkx", "numpy", "scipy"} | sys.stdlib_module_names
    if MODULES[name].relative_to(PACKAGE).as_posix() not in WITH_FILES:
        assert not libraries & FILES_AND_PROCESSES
    if _room(name) != "common":
        with_files = {name.removesuffix(".py").replace("/", ".") for name in WITH_FILES}
        assert not _own_imports(name) & with_files


@pytest.mark.parametrize("name", _of(PYTORCH))
def test_the_pytorch_storey_does_not_know_nni(name: str) -> None:
    assert "nni" not in _libraries(name)


def test_arrows_between_storeys_go_down() -> None:
    for upper, lower in ((PAPER, PYTORCH | NNI), (PYTORCH, NNI)):
        for room in upper:
            assert not set(ARROWS[room].split()) & (lower | ENTRY_POINTS), room


def _loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh Python has loaded afterwards."""
    script = (
        f"{code}\nimport json, sys\nprint(json.dumps([m for m in sys.modules if '.' not in m]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=PACKAGE.parent,
    )
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.slow
def test_the_tuner_starts_without_pytorch() -> None:
    """NNI gives it ten seconds to connect."""
    loaded = _loaded_by(
        "import nni_blockqnn.tuner, nni_blockqnn.finalists_tuner\n"
        "from nni_blockqnn import BlockQNNTuner"
    )
    assert "nni" in loaded
    assert not loaded & {"torch", "torchvision", "ptflops", "matplotlib"}


@pytest.mark.slow
def test_the_papers_storey_loads_nothing_else() -> None:
    loaded = _loaded_by(
        "from nni_blockqnn import Block, SearchSpace, NetworkSpec, estimate_cost, reward\n"
        "import nni_blockqnn.q_learning.search\n"
        "from nni_blockqnn.blocks.kinds.separable import SEPARABLE\n"
        "assert Block.parse([[1, 1, 3, 0, 0]]).graph.number_of_edges() == 2\n"
        "assert reward(50.0, 10**6, 1.0) == 50.0"
    )
    assert "networkx" in loaded
    assert not loaded & {"torch", "nni", "schema", "matplotlib", "pandas"}


def test_no_public_name_is_a_modules_too() -> None:
    """Importing a module sets its name in the package, over whatever had it."""
    assert not set(nni_blockqnn.__all__) & set(MODULES)


def test_the_public_names() -> None:
    assert set(nni_blockqnn.__all__) == {
        "Block",
        "BlockQNNTuner",
        "BlockSearch",
        "Cost",
        "InvalidBlockError",
        "NetworkSpec",
        "SearchSpace",
        "build_network",
        "estimate_cost",
        "load",
        "reward",
        "search",
    }
    for name in nni_blockqnn.__all__:
        assert callable(getattr(nni_blockqnn, name))
        assert name in dir(nni_blockqnn)
    with pytest.raises(AttributeError, match="has no attribute 'agent'"):
        nni_blockqnn.agent  # noqa: B018
