"""`load` gives a trained network back; what is wrong with its files is named, by exports too."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from exported_networks import SPEC, cases, rewrite, run_source, training_folder
from hand_made_blocks import EVERY_LAYER, RESIDUAL
from kind_blocks import block_with

import nni_blockqnn
from nni_blockqnn.blocks.kinds.separable import SEPARABLE
from nni_blockqnn.export import ExportError, export_network, network_source


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


def test_the_source_refuses_damaged_weights(tmp_path: Path) -> None:
    training_folder(tmp_path)
    load = run_source(network_source(RESIDUAL, SPEC))["load"]
    assert not load(tmp_path).training
    _cut(tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match=r"weights\.safetensors in .* is damaged, or not network"):
        load(tmp_path)


def test_a_network_that_diverged_is_refused(tmp_path: Path) -> None:
    training_folder(tmp_path / "trained")
    _weights(tmp_path / "trained", lambda weights: weights[_BIAS].fill_(float("nan")))
    (tmp_path / "out").mkdir()
    with pytest.raises(ExportError, match="not finite numbers; train it again"):
        export_network(tmp_path / "trained", tmp_path / "out", ["python"])
