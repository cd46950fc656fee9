"""CUDA graphs: the passes of a network over a batch, recorded once and replayed.

A small network's kernels take less time than their launches; a replay launches all of them at once
(PyTorch's ``torch.cuda.make_graphed_callables``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nni_blockqnn.training.device import autocast
from nni_blockqnn.training.distributed import World


def check_graphs(device: torch.device, world: World) -> None:
    """Check that passes can be recorded there.

    Raises:
        ValueError: on a CPU, or if several processes share the training.
    """
    if device.type != "cuda":
        raise ValueError(f"cuda_graphs needs a CUDA GPU, and the device is {device}: leave it out")
    if world.size > 1:
        raise ValueError(
            f"cuda_graphs is for one process, and {world.size} share this training: leave it out"
        )


def record_passes(network: nn.Module, images: Tensor, precision: str) -> None:
    """Have the network replay its forward and backward pass for images of this shape in training.

    Other shapes, as an epoch's last batch, and evaluation go the ordinary way, with the same
    weights. The rounds that recording takes change neither weights nor statistics.

    Args:
        network: in training mode.
        images: (B, C, H, W) on the network's GPU.
    """
    ordinary = network.forward
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with autocast(precision, images.device, cache_enabled=False):  # or it would record no casts
        torch.cuda.make_graphed_callables(network, (images.clone(),))
    replayed = network.forward
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            buffer.copy_(before[name])
    network.zero_grad(set_to_none=True)

    def forward(some: Tensor) -> Tensor:
        recorded = network.training and some.shape == images.shape
        return replayed(some) if recorded else ordinary(some)

    network.forward = forward
