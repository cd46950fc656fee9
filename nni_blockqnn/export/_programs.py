"""A network as programs that need no source: torch.export's and ONNX."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from nni_blockqnn.network.spec import NetworkSpec

ONNX_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
"""The extra "onnx": what torch's exporter needs, and what runs its output."""


def export_program(network: nn.Module, spec: NetworkSpec) -> ExportedProgram:
    """The network in evaluation mode as torch.export traces it.

    Takes images of `spec.input_shape`, of any number.
    """
    images = torch.zeros(2, *spec.input_shape)  # of a single one torch.export would make a constant
    program = torch.export.export(network, (images,), dynamic_shapes=_any_batch())
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names folders of this machine
    return program


def write_program(program: ExportedProgram, path: Path) -> None:
    torch.export.save(program, path)


def missing_onnx_packages() -> list[str]:
    """Those of the extra "onnx" that are not installed."""
    return [name for name in ONNX_PACKAGES if importlib.util.find_spec(name) is None]


def can_export_programs() -> bool:
    """Whether torch.export takes any number of images: from PyTorch 2.2 on."""
    return hasattr(torch.export, "Dim")


def write_onnx(program: ExportedProgram, path: Path) -> None:
    """One file with its weights: input "images", output "logits"."""
    torch.onnx.export(
        program,
        f=path,
        dynamo=True,
        dynamic_shapes=_any_batch(),
        input_names=["images"],
        output_names=["logits"],
        external_data=False,
        verbose=False,
    )


def run_program(path: Path, images: Tensor) -> Tensor:
    return torch.export.load(path).module()(images)


def run_onnx(path: Path, images: Tensor) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"images": images.numpy()})
    return torch.from_numpy(logits)


def _any_batch() -> tuple[dict[int, Any]]:
    return ({0: torch.export.Dim("batch")},)
