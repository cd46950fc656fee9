"""Reading a trained network back: nothing that is read can run code.

Layers of a user's own kind need code of theirs, which runs only if the caller names it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from nni_blockqnn.blocks.kind_table import find_kind
from nni_blockqnn.common.messages import shown
from nni_blockqnn.export.description import Description, ExportError, read_description
from nni_blockqnn.model_space import build_network
from nni_blockqnn.training.weights import WEIGHTS_NAME

_REMEDY = "copy both files from one training"


def load(folder: str | Path, extra_kinds: Sequence[str] = ()) -> nn.Module:
    """The trained network that `blockqnn train` or `blockqnn export` left in the folder.

    It is on the CPU, in evaluation mode, and maps normalised float32 images (B, C, H, W) to logits
    (B, classes): see "mean", "std" and "class_names" in ``network.json``.

    Args:
        extra_kinds: "module:NAME" of each kind of layer of your own that the network has. Their
            modules are imported.

    Raises:
        ExportError: a ValueError that names the file that is missing, damaged or does not fit.
        ValueError: if there is no such kind.
    """
    return load_described(Path(folder), extra_kinds)[1]


def load_described(folder: Path, extra_kinds: Sequence[str] = ()) -> tuple[Description, nn.Module]:
    """What the training says of its network, and the network as :func:`load` returns it.

    Raises:
        ExportError, ValueError: as :func:`load`.
    """
    for name in extra_kinds:
        find_kind(name)
    description = read_description(folder)
    weights = _read_weights(folder / WEIGHTS_NAME, description.weights_sha256)
    with torch.device("meta"):  # no memory and no random numbers for weights that are replaced
        network = build_network(description.block, description.spec)
    _check_fit(weights, network.state_dict(), folder / WEIGHTS_NAME)
    network.load_state_dict(weights, assign=True)
    return description, network.eval()


def _read_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ExportError(f"{path.parent} holds no {path.name}; {_REMEDY}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ExportError(
            f"{path} has the SHA-256 {found}, but network.json says {shown(sha256)}: the file is "
            f"damaged or of another training; {_REMEDY}"
        )
    try:
        return safetensors.torch.load(content)
    except (SafetensorError, KeyError) as error:  # a KeyError: a type that PyTorch lacks
        raise ExportError(f"{path} is not a safetensors file: {error}; {_REMEDY}") from None


def _check_fit(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in wanted.items():
        if name not in found:
            raise ExportError(f"{path} lacks {name!r} of network.json's network; {_REMEDY}")
        if _kind(found[name]) != _kind(tensor):
            raise ExportError(
                f"{path} has {name!r} as {_kind(found[name])}, but network.json's network wants "
                f"{_kind(tensor)}; {_REMEDY}"
            )
    for name in found:
        if name not in wanted:
            raise ExportError(
                f"{path} has {shown(name)}, which network.json's network lacks; {_REMEDY}"
            )


def _kind(tensor: Tensor) -> str:
    return f"{'x'.join(map(str, tensor.shape)) or 'a number'} of {tensor.dtype}"
