"""The device that a training runs on, and the arithmetic that it computes in there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from nni_blockqnn.common.messages import alternatives, shown

PRECISIONS = ("fp32", "tf32", "bf16")
_AMPERE = (8, 0)
"""The first compute capability with TF32 and bfloat16 in its tensor cores."""


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name, checked to exist.

    Args:
        name: "auto" (default) for a GPU if PyTorch sees one, otherwise the CPU; or "cpu", "cuda",
            "cuda:N" or "mps".

    Raises:
        ValueError: if there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdecimal()):
        raise ValueError(f"device must be auto, cpu, cuda, cuda:N or mps, got {shown(name)}")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device mps: this PyTorch has no Apple GPU; use auto or cpu")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device {name}: PyTorch sees {torch.cuda.device_count()} GPUs (its CUDA version: "
            f"{torch.version.cuda}); check nvidia-smi and CUDA_VISIBLE_DEVICES, or use auto or cpu"
        )
    return torch.device(name)


def check_precision(precision: str, device: torch.device) -> None:
    """Check that the device can compute in this precision.

    Raises:
        ValueError: if it is unknown or the device lacks it, naming what to use instead.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be {alternatives(PRECISIONS)}, got {shown(precision)}")
    if precision == "tf32" and device.type != "cuda":
        raise ValueError(
            f"precision tf32 needs an NVIDIA GPU with tensor cores, and the device is {device}: "
            "use fp32"
        )
    if precision == "bf16" and device.type not in ("cpu", "cuda"):
        raise ValueError(
            f"precision bf16 is for cpu and cuda, and the device is {device}: use fp32"
        )
    if precision != "fp32" and device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if capability < _AMPERE:
            raise ValueError(
                f"precision {precision} needs a GPU of compute capability 8.0 (Ampere) or later, "
                f"and {device} has {capability[0]}.{capability[1]}: use fp32"
            )


def default_precision(device: torch.device, *, final: bool) -> str:
    """The precision for a training that was told none: "bf16" in a search and "tf32" for a final
    training, where the device's tensor cores have them; otherwise "fp32".

    A search compares networks, and bf16 keeps their order; a final training is to be as good as it
    can (docs/training.md, "Precision").
    """
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= _AMPERE:
        return "tf32" if final else "bf16"
    return "fp32"


def autocast(
    precision: str, device: torch.device, *, cache_enabled: bool = True
) -> AbstractContextManager:
    """The context for a forward pass; weights and batch norm's statistics stay float32.

    Args:
        cache_enabled: keep the weights' bfloat16 copies until the context ends.
    """
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16, cache_enabled=cache_enabled)
    return nullcontext()


@contextmanager
def kernels(precision: str, *, deterministic: bool) -> Iterator[None]:
    """The context for all work on a GPU: which kernels cuDNN takes, TF32 only on request.

    PyTorch's default computes float32 convolutions in TF32.

    Args:
        deterministic: the same kernels at each run. Otherwise cuDNN tries several for each shape
            and takes the fastest, whichever that is today: the same seed, but other weights.
    """
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32
    tf32 = precision == "tf32"
    try:
        cudnn.deterministic, cudnn.benchmark = deterministic, not deterministic
        cudnn.allow_tf32, matmul.allow_tf32 = tf32, tf32
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = before
