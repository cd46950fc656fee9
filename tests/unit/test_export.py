"""Exported networks: every form gives what the network gives, and needs nothing of this package."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from components import missing
from kind_blocks import EVERY_KIND, OPTIONAL_KINDS, block_with
from rich.console import Console
from torch import Tensor, nn

import nni_blockqnn
from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.kinds.separable import SEPARABLE
from nni_blockqnn.blocks.layer_kind import LayerKind
from nni_blockqnn.cli import main
from nni_blockqnn.commands.export import Steps
from nni_blockqnn.export import ExportError, export_network, network_source, new_folder
from nni_blockqnn.export import folder as folder_module
from nni_blockqnn.export._programs import (
    export_program,
    missing_onnx_packages,
    run_onnx,
    run_program,
    write_onnx,
    write_program,
)
from nni_blockqnn.model_space import build_network
from nni_blockqnn.network.spec import FRAMES, NetworkSpec
from nni_blockqnn.reports.model_card import code
from nni_blockqnn.space.search_space import SearchSpace
from nni_blockqnn.training.weights import save_network

RESIDUAL = Block.parse([[1, 4, 0, 0, 0], [2, 1, 3, 1, 0], [3, 1, 3, 2, 0], [4, 5, 0, 1, 3]])
"""The right block of the paper's Fig. 2."""
EVERY_LAYER = Block.parse(
    "[[1,4,0,0,0],[2,1,5,1,0],[3,2,3,1,0],[4,3,3,2,0],[5,6,0,2,3],[6,5,0,3,5],[7,2,1,6,0],"
    "[8,6,0,5,7],[9,5,0,5,8],[10,3,1,4,0]]"
)
"""Each type and kernel, adds of several widths, and two leaves."""
EVERY_SEPARATE_LAYER = Block.parse(
    "[[1,9,0,0,0],[2,1,3,1,0],[3,8,0,2,0],[4,1,1,3,0],[5,6,0,2,4],[6,9,0,5,0],[7,5,0,3,6],"
    "[8,8,0,4,0]]",
    encoding="separate",
)
"""Convolutions without batch norm, an add of two widths, two leaves."""
NOTHING = Block.parse([[1, 4, 0, 0, 0], [2, 2, 1, 1, 0], [3, 4, 0, 1, 0]])
"""Layers that compute nothing; its output is its input, twice."""

SPEC = NetworkSpec("digits", repeats=2)
HAS_ONNX = not missing_onnx_packages()
"""Without the extra, the tests leave one form out."""


def test_the_extra_onnx_is_here() -> None:
    if not HAS_ONNX:
        missing(f"{missing_onnx_packages()} missing: pip install -e '.[dev]'")


def trained(block: Block, spec: NetworkSpec, seed: int = 0) -> nn.Module:
    """In evaluation mode, with all weights random and the statistics of random images."""
    torch.manual_seed(seed)
    network = build_network(block, spec)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            module.momentum = 1.0
    with torch.no_grad():
        network(torch.randn(16, *spec.input_shape))
    return network.eval()


def described(block: Block, spec: NetworkSpec, **changes: Any) -> dict[str, Any]:
    channels = spec.input_shape[0]
    facts = {
        "block": block.to_json(),
        "encoding": block.encoding,
        "repeats": spec.repeats,
        "network": asdict(spec),
        "dataset": "digits",
        "recipe": {"epochs": 2, "optimizer": "sgd", "milestones": [1]},
        "seed": 7,
        "processes": 1,
        "accuracy": 91.25,
        "best_accuracy": 93.5,
        "test_accuracy": None,
        "class_names": [f"digit {label}" for label in range(spec.classes)],
        "mean": [0.3] * channels,
        "std": [0.25] * channels,
    }
    return facts | changes


def training_folder(
    folder: Path, block: Block = RESIDUAL, spec: NetworkSpec = SPEC, **changes: Any
) -> nn.Module:
    """Writes what a training leaves, and returns its network."""
    network = trained(block, spec)
    save_network(folder, network, described(block, spec, **changes))
    return network


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / "network.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


CASES = 40


@cache
def cases() -> list[tuple[Block, NetworkSpec]]:
    """Known and random blocks of both encodings in each frame, with and without projection of
    their input, and with stems of each kind."""
    rng = np.random.default_rng(6)
    known = dict(enumerate((EVERY_LAYER, EVERY_SEPARATE_LAYER, NOTHING)))
    found = []
    for number in range(CASES):
        space = SearchSpace(encoding=("pcc", "separate")[number // 6 % 2], max_layers=12)
        convs = 1 + number % 4 % 3
        spec = NetworkSpec(
            input_shape=(3, 12, 9),
            classes=5,
            filters=(4, 6),
            repeats=1 + number // 2 % 2,
            stem_convs=convs,
            stem_pools=min(convs - 1, 1),
            project_input=number // 3 % 2 == 0,
            frame=FRAMES[number % 3] if number < 36 else "upsample",
        )
        found.append((known.get(number // 6) or space.random_block(rng), spec))
    return found


def assert_gives_the_same(logits: Tensor, expected: Tensor) -> None:
    """To 1e-5, of the largest if that is more than 1."""
    largest = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(logits / largest, expected / largest, atol=1e-5, rtol=0)


def run_source(source: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__file__": "model.py", "__name__": "model"}
    exec(compile(source, "model.py", "exec"), namespace)
    return namespace


@pytest.mark.slow
@pytest.mark.parametrize("number", range(CASES))
@torch.no_grad()
def test_the_source_gives_the_networks_logits(number: int) -> None:
    block, spec = cases()[number]
    network = trained(block, spec)
    copied = run_source(network_source(block, spec))["Network"]()
    copied.load_state_dict(network.state_dict())  # strict: every name and shape
    for batch in (1, 3):
        images = torch.randn(batch, *spec.input_shape)
        assert_gives_the_same(copied.eval()(images), network(images))


@pytest.mark.slow
@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(
    "space",
    [
        SearchSpace(),
        SearchSpace(encoding="separate"),
        SearchSpace(extra_kinds=("separable",)),
        SearchSpace(encoding="separate", extra_kinds=("separable",)),
    ],
)
def test_the_source_of_random_blocks_has_the_networks_weights(
    frame: str, space: SearchSpace
) -> None:
    """Names and shapes, of many blocks; bare widths grow from block to block."""
    rng = np.random.default_rng(1)
    for number in range(8):
        block = space.random_block(rng)
        spec = NetworkSpec("digits", repeats=2, frame=frame, project_input=number % 2 == 0)
        with torch.device("meta"):
            wanted = build_network(block, spec).state_dict()
            found = run_source(network_source(block, spec))["Network"]().state_dict()
        shapes = [{name: value.shape for name, value in s.items()} for s in (wanted, found)]
        assert shapes[0] == shapes[1], block


def assert_is_formatted(folder: Path) -> None:
    command = [sys.executable, "-m", "ruff", "{}", "--isolated", "--line-length=100"]
    for check in (["format", "--check"], ["check", "--select=E,F,W,I,B,UP,SIM"]):
        checked = subprocess.run(
            [*command[:3], *check, *command[4:], folder], capture_output=True, text=True
        )
        assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
def test_the_source_is_formatted_code(tmp_path: Path) -> None:
    of_kinds = [
        (block_with(kind, kernel), NetworkSpec("digits", frame=frame, project_input=project_input))
        for kind, kernel in EVERY_KIND
        for frame in FRAMES
        for project_input in (True, False)
    ]
    for number, (block, spec) in enumerate([*cases(), *of_kinds]):
        (tmp_path / f"network{number}.py").write_text(network_source(block, spec))
    assert_is_formatted(tmp_path)


def test_the_source_of_the_residual_block_reads_like_the_paper() -> None:
    source = network_source(RESIDUAL, SPEC)
    block = next(
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == "Block"
    )
    forward = block.body[-1]
    assert isinstance(forward, ast.FunctionDef)
    assert [ast.unparse(line) for line in forward.body] == [
        "x = self.project_input(x)",
        "conv2 = self.layers['2'](x)",
        "conv3 = self.layers['3'](conv2)",
        "sum4 = x + conv3",
        "return sum4",
    ]
    assert "class Add" not in source  # both operands have the filters


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 10, 14, 35, 37])  # each frame, encoding and projection
@torch.no_grad()
def test_the_programs_give_the_networks_logits(number: int, tmp_path: Path) -> None:
    block, spec = cases()[number]
    spec = replace(spec, repeats=1)  # a second one is traced as the first
    network = trained(block, spec)
    program = export_program(network, spec)
    runs = [partial(run_program, tmp_path / "program.pt2")]
    write_program(program, tmp_path / "program.pt2")
    if HAS_ONNX:
        write_onnx(program, tmp_path / "model.onnx")
        runs.append(partial(run_onnx, tmp_path / "model.onnx"))
    for batch in (1, 3):
        images = torch.randn(batch, *spec.input_shape)
        for run in runs:
            assert_gives_the_same(run(images), network(images))


@pytest.mark.parametrize(("kind", "kernel"), EVERY_KIND)
@pytest.mark.parametrize("frame", FRAMES)
@torch.no_grad()
def test_the_source_of_every_kind_is_the_networks(frame: str, kind: LayerKind, kernel: int) -> None:
    block = block_with(kind, kernel)
    for project_input in (True, False):
        spec = NetworkSpec("digits", frame=frame, project_input=project_input)
        network = trained(block, spec)
        copied = run_source(network_source(block, spec))["Network"]()
        copied.load_state_dict(network.state_dict())  # strict: every name and shape
        images = torch.randn(3, *spec.input_shape)
        assert_gives_the_same(copied.eval()(images), network(images))


@pytest.mark.parametrize(("kind", "kernels"), OPTIONAL_KINDS.values(), ids=OPTIONAL_KINDS)
@torch.no_grad()
def test_the_programs_of_optional_kinds_are_the_networks(
    kind: LayerKind, kernels: list[int], tmp_path: Path
) -> None:
    spec = NetworkSpec("digits", filters=(4,))  # one stage: a second one is traced as the first
    network = trained(block_with(kind, *kernels), spec)
    images = torch.randn(3, *spec.input_shape)
    program = export_program(network, spec)
    write_program(program, tmp_path / "program.pt2")
    assert_gives_the_same(run_program(tmp_path / "program.pt2", images), network(images))
    if HAS_ONNX:
        write_onnx(program, tmp_path / "model.onnx")
        assert_gives_the_same(run_onnx(tmp_path / "model.onnx", images), network(images))


def test_a_separable_network_is_loaded_and_exported(tmp_path: Path) -> None:
    """Its kind comes with the package, so it needs no leave."""
    block = block_with(SEPARABLE, 5)
    network = training_folder(tmp_path / "trained", block, extra_kinds=block.extra_kinds)
    images = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(nni_blockqnn.load(tmp_path / "trained")(images), network(images))
    (tmp_path / "out").mkdir()
    exported = export_network(tmp_path / "trained", tmp_path / "out", ["python"])
    assert exported.description.block == block
    assert "class SeparableConv" in (tmp_path / "out" / "model.py").read_text()


def test_code_that_network_json_names_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "own_code.py").write_text("raise AssertionError('imported')")
    training_folder(tmp_path, extra_kinds=["own_code:KIND"])
    with pytest.raises(ExportError, match=r"own_code:KIND'.* only if you name it"):
        nni_blockqnn.load(tmp_path)


@torch.no_grad()
def test_load_gives_the_network_back(tmp_path: Path) -> None:
    for number, (block, spec) in enumerate(cases()[::4]):
        network = training_folder(tmp_path / str(number), block, spec)
        generator = torch.get_rng_state()
        loaded = nni_blockqnn.load(str(tmp_path / str(number)))
        assert torch.equal(torch.get_rng_state(), generator)
        assert not loaded.training
        images = torch.randn(3, *spec.input_shape)
        assert torch.equal(loaded(images), network(images))
        assert all(parameter.requires_grad for parameter in loaded.parameters())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    """What the command writes, and the network."""
    folder = tmp_path_factory.mktemp("export")
    one_stage = NetworkSpec("digits", filters=(4,))
    network = training_folder(folder / "trained", EVERY_LAYER, one_stage)
    assert main(["export", str(folder / "trained"), "-o", str(folder / "out" / "net")]) == 0
    return folder / "out" / "net", network


@pytest.mark.slow
def test_the_command_writes_a_folder(
    exported: tuple[Path, nn.Module], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, network = exported
    files = {"weights.safetensors", "network.json", "model.py", "program.pt2"}
    files |= {"README.md", "block.svg"} | ({"model.onnx"} if HAS_ONNX else set())
    assert {path.name for path in folder.iterdir()} == files
    assert [path.name for path in folder.parent.iterdir()] == ["net"]  # no scratch folder is left
    trained_folder = folder.parents[1] / "trained"
    for name in ("weights.safetensors", "network.json"):
        assert (folder / name).read_bytes() == (trained_folder / name).read_bytes()
    images = torch.randn(3, 1, 8, 8)
    assert torch.equal(nni_blockqnn.load(folder)(images), network(images))
    again = folder.parents[1] / "again"
    assert main(["export", str(folder), "-o", str(again), "--formats", "python"]) == 0
    assert {path.name for path in again.iterdir()} == files - {"program.pt2", "model.onnx"}
    assert (again / "model.py").read_bytes() == (folder / "model.py").read_bytes()
    assert "model.py" in capsys.readouterr().out


@pytest.mark.slow
def test_the_examples_of_the_model_card_run_without_this_package(
    exported: tuple[Path, nn.Module],
) -> None:
    folder, network = exported
    card = (folder / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(examples) == 4 + HAS_ONNX
    normalisation, *forms, naming = examples
    script = "\n".join(
        [
            "import sys; sys.modules['nni_blockqnn'] = None  # cannot be imported",
            "sys.dont_write_bytecode = True; sys.path.insert(0, '')",
            "import torch",
            "found = []",
            normalisation,
            *(f"{form}\nfound.append(logits.tolist())" for form in forms),
            naming,
            "import json, model",
            "assert torch.equal(model.preprocess(images), normalised)",
            "print(json.dumps([found, names, images.tolist()]))",
        ]
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    found, names, shown = json.loads(run.stdout.splitlines()[-1])
    images = torch.tensor(shown)
    assert images.shape == (4, 1, 8, 8)
    with torch.no_grad():
        expected = network((images / 255 - 0.3) / 0.25)
    for logits in found:
        assert_gives_the_same(torch.tensor(logits), expected)
    assert names == [f"digit {label}" for label in expected.argmax(1)]


def test_the_model_card_says_what_is_known(exported: tuple[Path, nn.Module]) -> None:
    folder, network = exported
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    weights = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    for line in (
        "| validation accuracy, best epoch | 93.50 % |",
        "| test accuracy | not measured |",
        f"| parameters | {parameters:,} |",
        "| seed | `7` |",
        "| `milestones` | `[1]` |",
        f"SHA-256 of `weights.safetensors`: `{weights}`",
        f"| `torch` | `{torch.__version__}` |",
        "| 1 | 0.3 | 0.25 |",
    ):
        assert line in lines
    assert not any("processes" in line for line in lines)
    assert EVERY_LAYER.to_json() in (folder / "README.md").read_text(encoding="utf-8")
    assert (folder / "block.svg").read_text(encoding="utf-8").count("5×5 conv</text>") == 1


@pytest.mark.parametrize(("channels", "mode"), [(1, "grey"), (3, "RGB")])
def test_the_model_card_says_how_images_of_a_folder_are_resized(
    tmp_path: Path, channels: int, mode: str
) -> None:
    spec = NetworkSpec("digits", input_shape=(channels, 8, 12))
    training_folder(tmp_path / "trained", spec=spec, dataset="image-folder")
    out = tmp_path / "out"
    assert main(["export", str(tmp_path / "trained"), "-o", str(out), "--formats", "python"]) == 0
    card = (out / "README.md").read_text()
    assert "upright, as their EXIF orientation says" in card
    assert f"as {mode}; those of another size than 8 x 12 (height, width)" in card
    assert "ImageOps.fit(image, (12, 8), Image.Resampling.BILINEAR)" in card


def test_a_trial_that_validated_on_the_test_set_says_so(tmp_path: Path) -> None:
    """Its accuracies are those of the test set, which it looked at after each epoch."""
    training_folder(tmp_path / "trained", validation="test")
    out = tmp_path / "out"
    assert main(["export", str(tmp_path / "trained"), "-o", str(out), "--formats", "python"]) == 0
    lines = (out / "README.md").read_text().splitlines()
    assert "| test-set accuracy, best epoch | 93.50 % |" in lines
    assert "| validated on | `test` |" in lines
    assert not any("trained on all training images" in line for line in lines)


def test_no_file_names_folders_of_this_machine(exported: tuple[Path, nn.Module]) -> None:
    package = str(Path(nni_blockqnn.__file__).parents[1]).encode()
    library = str(Path(torch.__file__).parents[1]).encode()
    for path in exported[0].iterdir():
        content = path.read_bytes()
        assert package not in content, path.name
        assert library not in content, path.name


def test_texts_of_the_training_cannot_become_code_or_markup(tmp_path: Path) -> None:
    evil = '""" + exit() # `</code>` | <script>alert(1)</script>\n## Heading {{ 7 * 7 }} \u202e'
    names = [evil, "", *("x" * 500 for _ in range(28))]
    spec = NetworkSpec("digits", classes=30)
    training_folder(
        tmp_path / "evil",
        spec=spec,
        class_names=names,
        dataset=evil,
        recipe={evil: evil},
        seed=[evil] * 1000,
        accuracy=evil,
        test_accuracy=10**400,
    )
    out = tmp_path / "out"
    assert main(["export", str(tmp_path / "evil"), "-o", str(out), "--formats", "python"]) == 0
    assert (out / "model.py").read_text() == network_source(RESIDUAL, spec)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "exit()" in card
    outside_code = re.sub(r"```.*?```|`[^`\n]*`", "", card, flags=re.DOTALL)
    for trace in ("exit", "script", "Heading", "x" * 10):
        assert trace not in outside_code
    assert "\u202e" not in card
    assert "and 10 more" in card
    assert max(map(len, card.splitlines())) < 3_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [("sgd", "`sgd`"), (0.1, "`0.1`"), ("a`b|c\nd", "`a'b/c d`"), ("", "` `"), ("\x00", "`?`")],
)
def test_values_as_code(value: Any, expected: str) -> None:
    assert code(value) == expected


def test_a_network_too_large_for_its_weights_is_refused_before_it_is_built(tmp_path: Path) -> None:
    """A convolution of its block alone would take 144 GiB."""
    training_folder(tmp_path)
    network = asdict(SPEC) | {"filters": [65_536] * 2}
    rewrite(tmp_path, network=network)
    with pytest.raises(ExportError, match="wants 65536x1x3x3 of"):
        nni_blockqnn.load(tmp_path)


def _without(name: str, folder: Path) -> None:
    path = folder / "network.json"
    facts = json.loads(path.read_text())
    del facts[name]
    path.write_text(json.dumps(facts))


def _weights(folder: Path, change: Any) -> None:
    """Weights that are changed but have the hash that is written down."""
    path = folder / "weights.safetensors"
    weights = safetensors.torch.load(path.read_bytes())
    change(weights)
    path.write_bytes(safetensors.torch.save(weights))
    rewrite(folder, weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def _not_safetensors(folder: Path, content: bytes) -> None:
    (folder / "weights.safetensors").write_bytes(content)
    rewrite(folder, weights_sha256=hashlib.sha256(content).hexdigest())


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


_BIAS = "head.linear.bias"
_HEADER = b'{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}'
_OF_NO_KNOWN_TYPE = len(_HEADER).to_bytes(8, "little") + _HEADER + b"x"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "network.json").unlink(), r"holds no network\.json; name a folder"),
        (lambda f: (f / "weights.safetensors").unlink(), r"holds no weights\.safetensors; copy"),
        (lambda f: _cut(f / "weights.safetensors"), r"has the SHA-256 .* damaged or of another"),
        (lambda f: _cut(f / "network.json"), r"network\.json is not JSON"),
        (lambda f: (f / "network.json").write_text("[" * 10**6), r"network\.json is not JSON"),
        (lambda f: (f / "network.json").write_bytes(b" " * 2**25), "more than 16777216 bytes"),
        (lambda f: (f / "network.json").write_text("[1]"), r"must hold a JSON object, got \[1\]"),
        (lambda f: rewrite(f, block="[[1,9,0,0,0]]"), "does not describe a network: row 1"),
        (lambda f: rewrite(f, encoding="x"), "encoding must be"),
        (lambda f: rewrite(f, extra_kinds="separable"), '"extra_kinds" must be a list of texts'),
        (lambda f: rewrite(f, extra_kinds=[3]), '"extra_kinds" must be a list of texts'),
        (lambda f: rewrite(f, network={"filters": 3}), "filters must be a list"),
        (lambda f: rewrite(f, network="digits"), '"network" must be an object'),
        (lambda f: rewrite(f, repeats=0), "repeats must be an integer from 1"),
        (lambda f: rewrite(f, class_names=["a"]), '"class_names" must be 10'),
        (lambda f: rewrite(f, class_names=[1] * 10), '"class_names" must be a list of texts'),
        (lambda f: rewrite(f, mean=[]), '"mean" must be a list of 1 numbers'),
        (lambda f: rewrite(f, mean=[True]), '"mean" must be finite numbers'),
        (lambda f: rewrite(f, std=[0]), '"std" must be finite numbers above 0, got'),
        (lambda f: rewrite(f, std=[float("inf")]), '"std" must be finite'),
        (lambda f: rewrite(f, weights_sha256=3), '"weights_sha256" must be a text'),
        (lambda f: _without("mean", f), 'it has no "mean"'),
        (lambda f: _without("block", f), 'it has no "block"'),
        (lambda f: _not_safetensors(f, b"x" * 100), "is not a safetensors file"),
        (lambda f: _not_safetensors(f, b""), "is not a safetensors file"),
        (lambda f: _not_safetensors(f, _OF_NO_KNOWN_TYPE), "is not a safetensors file: 'F4'"),
        (lambda f: _weights(f, lambda w: w.pop(_BIAS)), "lacks 'head.linear.bias'"),
        (lambda f: _weights(f, lambda w: w.update(more=torch.ones(1))), "has 'more', which"),
        (
            lambda f: _weights(f, lambda w: w.update({_BIAS: torch.ones(9)})),
            "as 9 of torch.float32",
        ),
        (
            lambda f: _weights(f, lambda w: w.update({_BIAS: w[_BIAS].half()})),
            "10 of torch.float16",
        ),
        (lambda f: rewrite(f, block=EVERY_LAYER.to_json()), "copy both files from one training"),
    ],
)
def test_what_is_wrong_is_named(damage: Any, message: str, tmp_path: Path) -> None:
    training_folder(tmp_path)
    damage(tmp_path)
    with pytest.raises(ExportError, match=message) as caught:
        nni_blockqnn.load(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"there is no folder .*nowhere; name one that `blockqnn"):
        nni_blockqnn.load(tmp_path / "nowhere")


def test_a_file_or_a_trials_folder_is_told_what_to_name(tmp_path: Path) -> None:
    training_folder(tmp_path / "trial" / "network")
    with pytest.raises(
        ExportError, match=r"trial holds no network\.json, but .*trial/network does"
    ):
        nni_blockqnn.load(tmp_path / "trial")
    with pytest.raises(ExportError, match=r"weights\.safetensors is a file, not a folder; name"):
        nni_blockqnn.load(tmp_path / "trial" / "network" / "weights.safetensors")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(ExportError, match="exists already; name a folder"), new_folder(tmp_path):
        pass
    assert (tmp_path / "mine").read_text() == "kept"


@pytest.mark.slow
def test_what_a_killed_export_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    killed = "from nni_blockqnn.export import new_folder; import os, pathlib, signal\n"
    killed += "with new_folder(pathlib.Path('net')) as folder:\n"
    killed += "    (folder / 'half').touch(); os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", killed], cwd=tmp_path, check=False)
    (left,) = tmp_path.iterdir()
    assert (left / "net" / "half").exists()
    others = [".net-00000000", ".net-abcdefgh"]  # of an earlier version, and somebody's own
    (tmp_path / others[0] / "net").mkdir(parents=True)
    (tmp_path / others[1]).mkdir()
    (tmp_path / others[1] / "thesis.tex").touch()
    (tmp_path / others[1] / "export.lock").touch()
    with new_folder(tmp_path / "net") as filled:
        at_work = filled.parent.name
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, at_work])
        with new_folder(tmp_path / "net"):  # another one leaves that which is being filled alone
            assert filled.is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "net"])


@pytest.mark.slow
def test_the_command_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training_folder(tmp_path / "trained")
    command = ["export", str(tmp_path / "trained"), "-o", str(tmp_path / "out")]
    assert main([*command, "--formats", "python", "program"]) == 0
    first, *files = capsys.readouterr().out.splitlines()  # no progress, which is for terminals
    assert first == f"wrote {tmp_path / 'out'}"
    assert {line.split()[0] for line in files} >= {"model.py", "program.pt2", "README.md"}


def test_a_terminal_sees_the_steps_and_the_time_left() -> None:
    file = io.StringIO()
    with Steps(Console(file=file, force_terminal=True, width=100)) as steps:
        steps.begin("reads trained")
        steps.begin("writes program.pt2")
    assert "17%" in file.getvalue()
    assert "writes program.pt2, 0 min 00 s left" in file.getvalue()


def test_the_source_refuses_damaged_weights(tmp_path: Path) -> None:
    training_folder(tmp_path)
    load = run_source(network_source(RESIDUAL, SPEC))["load"]
    assert not load(tmp_path).training
    _cut(tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match=r"weights\.safetensors in .* is damaged, or not network"):
        load(tmp_path)


def test_a_failure_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training_folder(tmp_path / "trained")
    out = tmp_path / "out"
    command = ["export", str(tmp_path / "trained"), "-o", str(out)]
    assert main([*command, "--formats", "pickle"]) == 1
    assert "formats must be of python, program, onnx, got 'pickle'" in capsys.readouterr().err
    rewrite(tmp_path / "trained", weights_sha256="0" * 64)
    assert main([*command, "--formats", "python"]) == 1
    assert "has the SHA-256" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["trained"]


def test_a_form_that_gives_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pooled_otherwise(block: Block, spec: NetworkSpec) -> str:
        source = network_source(block, spec)
        assert "count_include_pad=False" in source
        return source.replace("count_include_pad=False", "count_include_pad=True")

    training_folder(tmp_path / "trained", EVERY_LAYER)
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(folder_module, "network_source", pooled_otherwise)
    with pytest.raises(ExportError, match=r"model\.py gives other outputs than the network"):
        export_network(tmp_path / "trained", tmp_path / "out", ["python"])


def test_a_network_that_diverged_is_refused(tmp_path: Path) -> None:
    training_folder(tmp_path / "trained")
    _weights(tmp_path / "trained", lambda weights: weights[_BIAS].fill_(float("nan")))
    (tmp_path / "out").mkdir()
    with pytest.raises(ExportError, match="not finite numbers; train it again"):
        export_network(tmp_path / "trained", tmp_path / "out", ["python"])


@pytest.mark.slow
def test_without_the_extra_onnx_is_left_out_unless_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # what find_spec then calls missing
    training_folder(tmp_path / "trained")
    for name in ("out", "asked"):
        (tmp_path / name).mkdir()
    result = export_network(tmp_path / "trained", tmp_path / "out")
    (line,) = result.left_out
    assert "onnxruntime" in line
    assert line.endswith("not installed; pip install 'nni-blockqnn[onnx]'")
    assert not (tmp_path / "out" / "model.onnx").exists()
    with pytest.raises(ExportError, match=r"format onnx: .*not installed; pip install"):
        export_network(tmp_path / "trained", tmp_path / "asked", ["onnx"])
    assert not any((tmp_path / "asked").iterdir())
