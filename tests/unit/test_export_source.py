"""Every exported form gives what the network gives, and its source is formatted code."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from exported_networks import (
    CASES,
    HAS_ONNX,
    SPEC,
    assert_gives_the_same,
    cases,
    run_source,
    trained,
)
from hand_made_blocks import RESIDUAL
from kind_blocks import EVERY_KIND, OPTIONAL_KINDS, block_with

from nni_blockqnn.blocks.layer_kind import LayerKind
from nni_blockqnn.export import network_source
from nni_blockqnn.export._programs import (
    export_program,
    run_onnx,
    run_program,
    write_onnx,
    write_program,
)
from nni_blockqnn.model_space import build_network
from nni_blockqnn.network.spec import FRAMES, NetworkSpec
from nni_blockqnn.space.search_space import SearchSpace


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
