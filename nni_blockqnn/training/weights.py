"""A trained network in a folder: its weights and their description.

``weights.safetensors`` holds the state dict and ``network.json`` the rest, the weights' SHA-256
included. ``network.json`` is written last, so a folder without it, or with another hash in it, is a
training that was cut off. :func:`nni_blockqnn.load` reads both.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor, nn

from nni_blockqnn.common.files import write_whole
from nni_blockqnn.common.messages import shown

WEIGHTS_NAME = "weights.safetensors"
DESCRIPTION_NAME = "network.json"
_COUNTER = "num_batches_tracked"
"""A scalar in each batch norm, which fits every other one and so proves nothing."""


class CarriedOver(NamedTuple):
    """How many of a network's tensors were replaced by another network's.

    Attributes:
        fitting: replaced ones; counters of batches are left out.
        of: all.
    """

    fitting: int
    of: int


def save_network(folder: Path, network: nn.Module, description: Mapping[str, Any]) -> str:
    """Write both files, each complete or not at all; returns the weights' SHA-256.

    Args:
        folder: made if it does not exist.
        description: for ``network.json``, which gets ``weights_sha256`` and ``versions`` too.

    Raises:
        OSError: if there is no room for it, for example.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {  # safetensors takes no channels-last memory
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    content = safetensors.torch.save(state)
    sha256 = hashlib.sha256(content).hexdigest()
    facts = dict(description) | {"weights_sha256": sha256, "versions": _versions()}
    write_whole(folder / WEIGHTS_NAME, content)
    write_whole(folder / DESCRIPTION_NAME, _description(facts))
    return sha256


def describe_further(folder: Path, facts: Mapping[str, Any]) -> None:
    """Add facts to ``network.json``, or replace them.

    Raises:
        OSError: if there is no room for it, for example.
    """
    path = folder / DESCRIPTION_NAME
    known = json.loads(path.read_text(encoding="utf-8"))
    write_whole(path, _description(known | dict(facts)))


def carry_over(weights: Mapping[str, Tensor], network: nn.Module) -> CarriedOver:
    """Give the network the weights whose names and shapes fit; its others stay as they are.

    Raises:
        ValueError: if none fits.
    """
    own = network.state_dict()
    fitting = {
        name: value
        for name, value in weights.items()
        if name in own and own[name].shape == value.shape
    }
    counted = sum(not name.endswith(_COUNTER) for name in fitting)
    if not counted:
        raise ValueError(_unfitting(weights, own))
    network.load_state_dict(own | fitting)
    return CarriedOver(counted, sum(not name.endswith(_COUNTER) for name in own))


def _unfitting(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    common = [name for name in weights if name in own and not name.endswith(_COUNTER)]
    beginning = "none of the weights fits this network, where name and shape have to be equal: "
    if not common:
        return (
            f"{beginning}no name is in both; theirs begin with {shown([*weights][:3])}, its own "
            f"with {shown([*own][:3])}. Another block or another frame has other names"
        )
    examples = ", ".join(
        f"{name} is {_shape(weights[name])} there and {_shape(own[name])} here"
        for name in common[:2]
    )
    return (
        f"{beginning}{len(common)} names are in both, but not one with the same shape: {examples}. "
        "Give the network the filters and input channels that the other one has"
    )


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def _description(facts: Mapping[str, Any]) -> bytes:
    return (json.dumps(facts, indent=1) + "\n").encode()


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        **{name: version(name) for name in ("nni-blockqnn", "numpy", "safetensors")},
    }
