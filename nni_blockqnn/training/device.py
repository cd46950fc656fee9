"""The device that a training runs on."""

from __future__ import annotations

import torch

from nni_blockqnn.common.messages import shown


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
