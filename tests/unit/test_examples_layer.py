"""The example of a layer kind of one's own: searched, sent, built, costed, drawn and exported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from kind_blocks import block_with
from playing import Experiment, tuner
from ptflops import get_model_complexity_info
from torch import Tensor, nn

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.kind_table import find_kind
from nni_blockqnn.blocks.layer_kind import LayerKind
from nni_blockqnn.cli import main
from nni_blockqnn.exchange.finalists import finalists_space
from nni_blockqnn.exchange.parameters import read_task
from nni_blockqnn.export import network_source
from nni_blockqnn.model_space import build_network
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.spec import FRAMES, NetworkSpec
from nni_blockqnn.reports.text_graph import draw_text
from nni_blockqnn.space.choices import block_of, choices_space
from nni_blockqnn.space.mutation import mutate
from nni_blockqnn.space.search_space import SearchSpace
from nni_blockqnn.training.weights import save_network

SMALL = NetworkSpec("digits", filters=(4,))
EXAMPLE = Path(__file__).parents[2] / "examples" / "own_layer"
CONFIG: dict[str, Any] = yaml.safe_load((EXAMPLE / "config.yml").read_text())
NAME = "dilated:DILATED"


@pytest.fixture(scope="module")
def kind() -> LayerKind:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLE))
        return find_kind(NAME)


@pytest.fixture
def space(kind: LayerKind) -> SearchSpace:
    return SearchSpace.from_json(CONFIG["searchSpace"])


def test_it_is_short() -> None:
    assert len((EXAMPLE / "dilated.py").read_text().splitlines()) < 60


def test_the_tuner_searches_with_it_and_trials_read_its_codes(space: SearchSpace) -> None:
    played = Experiment(tuner(CONFIG["searchSpace"]), 2).run(40)
    types = {layer.type for result in played.tuner.history for layer in result.block.layers}
    assert {11, 100} <= types
    for parameters in played.sent:
        assert json.loads(parameters["space"]) == {"extra_kinds": ["separable", NAME]}
        assert space.contains(read_task(json.loads(json.dumps(parameters))).block)


def test_another_process_finds_it_by_its_name(kind: LayerKind) -> None:
    """As a trial does, which knows the parameters alone; and without PyTorch, as the tuner."""
    block = block_with(kind, 3)
    parameters = {
        name: entry["_value"][0] for name, entry in finalists_space([block], 1, "digits").items()
    }
    assert json.loads(parameters["space"]) == {"extra_kinds": [NAME]}
    script = (
        "import json, sys\n"
        "from nni_blockqnn.exchange.parameters import read_task\n"
        "print(read_task(json.loads(sys.argv[1])).block.key)\n"
        "assert 'torch' not in sys.modules\n"
    )
    command = [sys.executable, "-c", script, json.dumps(parameters)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=EXAMPLE)
    assert run.stdout.strip() == block.key


def test_the_space_draws_mutates_and_chooses_it(space: SearchSpace) -> None:
    rng = np.random.default_rng(0)
    block = space.random_block(rng)
    types = set()
    for _ in range(200):
        block = mutate(block, space, rng)
        assert space.contains(block)
        types |= {layer.type for layer in block.layers}
    assert 100 in types
    choices = choices_space(space)
    assert {"dilated 3", "separable 3", "separable 5"} < set(choices["layer1"]["_value"])
    first = {key: entry["_value"][0] for key, entry in choices.items()}
    assert block_of(first | {"layer1": "dilated 3"}, space).codes[0] == [1, 100, 3, 0, 0]


@pytest.mark.parametrize("project_input", [True, False])
@pytest.mark.parametrize("frame", FRAMES)
def test_its_cost_is_exact(frame: str, project_input: bool, kind: LayerKind) -> None:
    spec = NetworkSpec("digits", frame=frame, project_input=project_input)
    block = block_with(kind, 3)
    network = build_network(block, spec)
    cost = estimate_cost(block, spec)
    assert cost.params == sum(parameter.numel() for parameter in network.parameters())
    flops, _ = get_model_complexity_info(
        network, spec.input_shape, backend="aten", as_strings=False, print_per_layer_stat=False
    )
    assert cost.flops == flops


def test_it_is_drawn(kind: LayerKind) -> None:
    assert "3×3 dilated" in draw_text(block_with(kind, 3))


@torch.no_grad()
def test_its_network_is_exported(kind: LayerKind, tmp_path: Path) -> None:
    block, spec = block_with(kind, 3), SMALL
    network = build_network(block, spec).eval()
    namespace: dict[str, Any] = {"__file__": "model.py", "__name__": "model"}
    exec(compile(network_source(block, spec), "model.py", "exec"), namespace)
    copied: nn.Module = namespace["Network"]()
    copied.load_state_dict(network.state_dict())
    images = torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(copied.eval()(images), network(images))
    _save(tmp_path / "trained", network, images, block.to_json())
    command = ["export", str(tmp_path / "trained"), "-o", str(tmp_path / "out")]
    assert main([*command, "--extra-kinds", NAME]) == 0
    assert {"model.py", "program.pt2", "block.svg"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


def _save(folder: Path, network: nn.Module, images: Tensor, codes: str) -> None:
    spec = SMALL
    facts = {
        "block": codes,
        "encoding": "pcc",
        "extra_kinds": Block.parse(codes).extra_kinds,
        "repeats": spec.repeats,
        "network": json.loads(spec.to_json()),
        "dataset": "digits",
        "recipe": {"epochs": 2, "optimizer": "sgd", "milestones": [1]},
        "class_names": list("0123456789"),
        "mean": [0.3],
        "std": [0.25],
        "seed": 1,
        "processes": 1,
        "accuracy": 90.0,
        "best_accuracy": 90.0,
        "test_accuracy": None,
    }
    assert facts["extra_kinds"] == [NAME]
    save_network(folder, network, facts)
