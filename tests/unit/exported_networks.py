"""Networks as a training leaves them, and comparing what their exported forms give."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hand_made_blocks import EVERY_LAYER, EVERY_SEPARATE_LAYER, RESIDUAL
from torch import Tensor, nn

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.export._programs import (
    missing_onnx_packages,
)
from nni_blockqnn.model_space import build_network
from nni_blockqnn.network.spec import FRAMES, NetworkSpec
from nni_blockqnn.space.search_space import SearchSpace
from nni_blockqnn.training.weights import save_network

NOTHING = Block.parse([[1, 4, 0, 0, 0], [2, 2, 1, 1, 0], [3, 4, 0, 1, 0]])
"""Layers that compute nothing; its output is its input, twice."""

SPEC = NetworkSpec("digits", repeats=2)
HAS_ONNX = not missing_onnx_packages()
"""Without the extra, the tests leave one form out."""


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
