"""The storeys of the package: imports go down only (docs on its architecture; DESIGN)."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nni_blockqnn

PACKAGE = Path(nni_blockqnn.__file__).parent

PAPER = {
    "_json_text",
    "_messages",
    "calibration",
    "choices",
    "codes",
    "cost",
    "mutation",
    "named_blocks",
    "network_spec",
    "nsc",
    "predictor",
    "q_learning",
    "reward",
    "search_space",
    "widths",
}
"""Knows numpy and networkx; no torch, no NNI, no files."""
PYTORCH = {"data", "export", "model_space", "torchrun", "training"}
"""Knows torch; never NNI."""

FILES_AND_PROCESSES = {"io", "os", "pathlib", "shutil", "socket", "subprocess", "tempfile"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def _own_part(path: Path) -> str:
    """'nsc' of nsc.py, 'data' of data/cifar.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[str]:
    """Full names of all that a file imports, anywhere in it."""
    package = ".".join(["nni_blockqnn", *path.relative_to(PACKAGE).parts[:-1]]).split(".")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from nni_blockqnn import nsc` imports a module too
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _libraries(path: Path) -> set[str]:
    return {name.split(".")[0] for name in _imports(path)} - {"nni_blockqnn", "__future__"}


def _own_imports(path: Path) -> set[str]:
    names = [name.split(".") for name in _imports(path)]
    return {parts[1] for parts in names if parts[0] == "nni_blockqnn" and len(parts) > 1}


def _of(storey: set[str]) -> list:
    paths = [path for path in MODULES if _own_part(path) in storey]
    assert paths
    return [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in paths]


def test_the_imports_are_read_as_they_are_written() -> None:
    """Else the tests below would pass for want of imports."""
    assert "networkx" in _libraries(PACKAGE / "nsc.py")
    assert _own_imports(PACKAGE / "tuner.py") >= {"record", "search_space", "q_learning"}
    assert "torch" in _libraries(PACKAGE / "model_space" / "network.py")
    assert {_own_part(path) for path in MODULES} >= PAPER | PYTORCH


@pytest.mark.parametrize("path", _of(PAPER))
def test_the_papers_storey_stands_alone(path: Path) -> None:
    libraries = _libraries(path)
    assert libraries <= {"numpy", "networkx"} | sys.stdlib_module_names
    assert not libraries & FILES_AND_PROCESSES
    assert _own_imports(path) <= PAPER


@pytest.mark.parametrize("path", _of(PYTORCH))
def test_the_pytorch_storey_does_not_know_nni(path: Path) -> None:
    assert "nni" not in _libraries(path)
    assert _own_imports(path) <= PAPER | PYTORCH


def test_no_two_modules_import_each_other() -> None:
    names = {path: ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in MODULES}
    modules = {name.removesuffix(".__init__"): path for path, name in names.items()}

    def used(name: str) -> Iterator[str]:
        for imported in _imports(modules[name]):
            if not imported.startswith("nni_blockqnn."):
                continue  # torch.export is not ours
            parts = imported.split(".")[1:]
            for length in (len(parts), len(parts) - 1):
                if ".".join(parts[:length]) in modules:
                    yield ".".join(parts[:length])
                    break

    graph = {name: set(used(name)) - {name} for name in modules if name != "__init__"}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"imports go in a circle: {' -> '.join([*above, name])}"
        if name not in done and name in graph:
            for other in graph[name]:
                visit(other, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


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


def test_the_tuner_starts_without_pytorch() -> None:
    """NNI gives it ten seconds to connect. The function `reward` stays one meanwhile."""
    loaded = _loaded_by(
        "import nni_blockqnn.tuner, nni_blockqnn.finalists_tuner, nni_blockqnn.reward\n"
        "from nni_blockqnn import reward, BlockQNNTuner\n"
        "assert callable(reward), reward\n"
        "assert reward(50.0, 10**6, 1.0) == 50.0"
    )
    assert "nni" in loaded
    assert not loaded & {"torch", "torchvision", "ptflops", "matplotlib"}


def test_the_papers_storey_loads_nothing_else() -> None:
    loaded = _loaded_by(
        "from nni_blockqnn import Block, SearchSpace, NetworkSpec, estimate_cost, reward\n"
        "import nni_blockqnn.q_learning.search\n"
        "assert Block.parse([[1, 1, 3, 0, 0]]).graph.number_of_edges() == 2"
    )
    assert "networkx" in loaded
    assert not loaded & {"torch", "nni", "schema", "matplotlib", "pandas"}


def test_the_public_names() -> None:
    assert set(nni_blockqnn.__all__) == {
        "Block",
        "BlockQNNTuner",
        "Cost",
        "InvalidBlockError",
        "NetworkSpec",
        "SearchSpace",
        "build_network",
        "estimate_cost",
        "load",
        "reward",
    }
    for name in nni_blockqnn.__all__:
        assert callable(getattr(nni_blockqnn, name))
        assert name in dir(nni_blockqnn)
    with pytest.raises(AttributeError, match="has no attribute 'blocks'"):
        nni_blockqnn.blocks  # noqa: B018
