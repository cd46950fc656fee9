"""A trained network in forms that others can use, each compared with the network itself."""

from __future__ import annotations

import copy
import runpy
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nni_blockqnn.common.files import write_whole
from nni_blockqnn.common.messages import shown
from nni_blockqnn.export._programs import (
    can_export_programs,
    export_program,
    missing_onnx_packages,
    run_onnx,
    run_program,
    write_onnx,
    write_program,
)
from nni_blockqnn.export.description import Description, ExportError
from nni_blockqnn.export.source import network_source
from nni_blockqnn.export.trained import load_described
from nni_blockqnn.training.weights import DESCRIPTION_NAME, WEIGHTS_NAME

FORMATS = {"python": "model.py", "program": "program.pt2", "onnx": "model.onnx"}
"""Forms of a network by name, and the file of each."""
INSTALL_ONNX = "pip install 'nni-blockqnn[onnx]'"
_TOLERANCE = 1e-5
_TOLERATED_ROUNDINGS = 10
"""A form may round in another order, in which errors grow as they do in the network itself."""


class Exported(NamedTuple):
    """A folder that :func:`export_network` filled.

    Attributes:
        differences: for each form by name, the largest difference between its logits and the
            network's over three random images, divided by the largest logit if that exceeds 1.
        rounding: the same difference between the network in single and in double precision.
        left_out: a line for each form that is missing, saying why.
    """

    description: Description
    differences: dict[str, float]
    rounding: float
    left_out: list[str]


def export_network(
    source: Path,
    output: Path,
    formats: Sequence[str] | None = None,
    tell: Callable[[str], None] = lambda step: None,
    extra_kinds: Sequence[str] = (),
) -> Exported:
    """Write the network in the chosen forms, with its weights and its description.

    Args:
        source: a folder that `blockqnn train` or `blockqnn export` wrote.
        output: a folder that exists and is empty.
        formats: names out of `FORMATS`. By default all, ONNX only if its packages are installed.
        tell: called with each step before it begins, such as "writes model.onnx".
        extra_kinds: "module:NAME" of each kind of layer of your own that the network has.

    Raises:
        ExportError: if the source holds no network that fits together, a format is not known or
            lacks its packages, or a form gives other logits than the network.
    """
    names, left_out = _chosen(formats)
    tell(f"reads {source}")
    description, network = load_described(source, extra_kinds)
    for name in (WEIGHTS_NAME, DESCRIPTION_NAME):
        shutil.copyfile(source / name, output / name)
    for name in names:
        tell(f"writes {FORMATS[name]}")
        _write(name, output / FORMATS[name], description, network)
    tell("compares what they give with the network")
    differences, rounding = _compare(names, output, description, network)
    return Exported(description, differences, rounding, left_out)


def _chosen(formats: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Names of formats in the order of `FORMATS`, and why one is left out."""
    for name in formats or ():
        if name not in FORMATS:
            raise ExportError(f"formats must be of {', '.join(FORMATS)}, got {shown(name)}")
    chosen = [name for name in FORMATS if formats is None or name in formats]
    left_out = []
    for name, reason in _unavailable().items():
        if name not in chosen:
            continue
        if formats is not None:
            raise ExportError(f"format {name}: {reason}")
        chosen.remove(name)
        left_out.append(f"{FORMATS[name]} left out: {reason}")
    return chosen, left_out


def _unavailable() -> dict[str, str]:
    """The formats that this installation cannot write, and why."""
    reasons = {}
    if not can_export_programs():
        reasons["program"] = f"it needs PyTorch 2.2, and this is {torch.__version__}"
    if missing := missing_onnx_packages():
        reasons["onnx"] = f"{', '.join(missing)} not installed; {INSTALL_ONNX}"
    return reasons


def _write(name: str, path: Path, description: Description, network: nn.Module) -> None:
    if name == "python":
        write_whole(path, network_source(description.block, description.spec))
        return
    program = export_program(network, description.spec)
    (write_program if name == "program" else write_onnx)(program, path)


_RUN: dict[str, Callable[[Path, Tensor], Tensor]] = {
    # not imported, which would leave compiled code in the folder
    "python": lambda path, images: runpy.run_path(str(path))["load"]()(images),
    "program": run_program,
    "onnx": run_onnx,
}


@torch.no_grad()
def _compare(
    names: Sequence[str], folder: Path, description: Description, network: nn.Module
) -> tuple[dict[str, float], float]:
    """The differences by name, and the network's own rounding."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, *description.spec.input_shape, generator=generator)
    logits = network(images)
    if not logits.isfinite().all():
        raise ExportError("the network's outputs are not finite numbers; train it again")
    rounding = _difference(logits, copy.deepcopy(network).double()(images.double()))
    allowed = _TOLERANCE + _TOLERATED_ROUNDINGS * rounding
    differences = {}
    for name in names:
        file = FORMATS[name]
        difference = differences[name] = _difference(_RUN[name](folder / file, images), logits)
        if not difference <= allowed:  # nor if it is no number
            raise ExportError(
                f"{file} gives other outputs than the network: they differ by {difference:.2g} of "
                f"the largest, {allowed:.2g} is allowed; leave it out with --formats, or install "
                "another version of PyTorch"
            )
    return differences, rounding


def _difference(found: Tensor, wanted: Tensor) -> float:
    return ((found - wanted).abs().max() / wanted.abs().max().clamp(min=1)).item()
