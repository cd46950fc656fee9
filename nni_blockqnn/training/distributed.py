"""One training by several processes, each with a GPU of its own, that torchrun has started.

Each process takes its share of every batch. Gradients are averaged by DistributedDataParallel, so
that all networks stay equal; they are those of the mean loss over the whole batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from nni_blockqnn._messages import shown
from nni_blockqnn.training.device import pick_device

_T = TypeVar("_T")
_TIMEOUT = timedelta(hours=6)
"""As long may one process download or decode data while the others wait; torchrun ends them all
if one fails."""


@dataclass(frozen=True)
class World:
    """The processes of a training, and which of them this one is; by default it is alone.

    Attributes:
        rank: 0 to `size - 1`; only that of 0 prints and writes.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """This process's part of a batch (B, ...); the first ones have one more if need be."""
        return batch.tensor_split(self.size)[self.rank]

    def largest_share(self, count: int) -> int:
        """How many of `count` images a process has at most."""
        return -(-count // self.size)

    def with_common_statistics(self, network: nn.Module) -> nn.Module:
        """Batch normalisation over all processes' images, which PyTorch has for NVIDIA GPUs only.

        Elsewhere each process normalises its own share, and the network is returned as it is.
        """
        if self.size == 1 or next(network.parameters()).device.type != "cuda":
            return network
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network as it is called for training: its gradients become all processes' mean."""
        if self.size == 1:
            return network
        return DistributedDataParallel(network, broadcast_buffers=False)

    def without_exchange(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        """In here gradients are only added up, for a later backward pass to exchange."""
        if isinstance(wrapped, DistributedDataParallel):
            return wrapped.no_sync()
        return nullcontext()

    def sum_(self, tensor: Tensor) -> None:
        """Replace it by the sum of all processes'."""
        if self.size > 1:
            dist.all_reduce(tensor)

    def equalise_buffers(self, network: nn.Module) -> None:
        """Give all processes the mean of their running statistics."""
        for buffer in network.buffers() if self.size > 1 else ():
            if buffer.is_floating_point():
                dist.all_reduce(buffer)
                buffer /= self.size

    def of_first(self, value: _T) -> _T:
        """What the first process has for it. A tensor in it lies on the CPU."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def wait(self) -> None:
        """Until all processes have come as far."""
        if self.size > 1:
            dist.barrier()


ALONE = World()


@contextmanager
def joined(device: str) -> Iterator[tuple[World, str]]:
    """Join the processes that torchrun has started; without it, be alone.

    Args:
        device: as :func:`pick_device` takes it.

    Yields:
        The world, and the name of this process's own device.

    Raises:
        ValueError: if the device is one that several processes cannot train on.
    """
    size = int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1
    if size == 1:
        yield ALONE, device
        return
    own = _own_device(device, int(os.environ["LOCAL_RANK"]))
    if own.type == "cuda":
        torch.cuda.set_device(own)
    dist.init_process_group(
        "nccl" if own.type == "cuda" else "gloo",
        timeout=_TIMEOUT,
        device_id=own if own.type == "cuda" else None,
    )
    try:
        yield World(dist.get_rank(), size), str(own)
    finally:
        dist.destroy_process_group()


def _own_device(name: str, local_rank: int) -> torch.device:
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(
            f"device must be auto, cpu or cuda under torchrun, which gives each process a GPU of "
            f"its own, got {shown(name)}; CUDA_VISIBLE_DEVICES chooses the GPUs"
        )
    device = pick_device(name)
    return pick_device(f"cuda:{local_rank}") if device.type == "cuda" else device
