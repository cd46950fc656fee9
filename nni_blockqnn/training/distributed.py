"""One training by several processes, each with a GPU of its own, that torchrun has started.

Each process takes its share of every batch. Gradients are averaged by DistributedDataParallel, so
that all networks stay equal; they are those of the mean loss over the whole batch.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from nni_blockqnn.common.messages import shown
from nni_blockqnn.common.torchrun import own_place, wait_for_the_end
from nni_blockqnn.training.device import pick_device
from nni_blockqnn.training.errors import TrainingError

_T = TypeVar("_T")
_SYNC_BUFFERS = next(  # the second one is its old name, deprecated in PyTorch 2.14
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in inspect.signature(DistributedDataParallel).parameters
)
_TIMEOUT = timedelta(hours=6)
"""As long may one process download or decode data while the others wait; torchrun ends them all
if one fails."""


@dataclass(frozen=True)
class World:
    """The processes of a training, and which of them this one is; by default it is alone.

    Attributes:
        rank: 0 to `size - 1`; only that of 0 prints and writes.
        local_size: how many of them this machine has.
    """

    rank: int = 0
    size: int = 1
    local_size: int = 1

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
        options: dict[str, Any] = {_SYNC_BUFFERS: False}
        return DistributedDataParallel(network, **options)

    def without_exchange(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        """In here gradients are only added up, for a later backward pass to exchange."""
        if isinstance(wrapped, DistributedDataParallel):
            return wrapped.no_sync()
        return nullcontext()

    def sum_(self, tensor: Tensor) -> None:
        """Replace it by the sum of all processes'."""
        if self.size > 1:
            dist.all_reduce(tensor)

    def take_first_(self, tensor: Tensor) -> None:
        """Replace it by the first process's."""
        if self.size > 1:
            dist.broadcast(tensor, src=0)

    def least(self, value: int, device: torch.device) -> int:
        """The smallest of all processes' values; `device` is this one's."""
        if self.size == 1:
            return value
        least = torch.tensor(value, device=device)
        dist.all_reduce(least, dist.ReduceOp.MIN)
        return int(least)

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

    def check_same(self, facts: dict[str, Any]) -> None:
        """Refuse what is not the same in all processes, which would wait for each other for ever.

        Raises:
            ValueError: naming the first fact that is not the first process's, and both values.
        """
        firsts = self.of_first(facts)
        for name in firsts | facts:
            own, other = facts.get(name), firsts.get(name)
            if own != other:
                raise ValueError(
                    f"{name} is {shown(own)} here, but {shown(other)} in process 0: start the same "
                    "command with the same versions, files and data on all machines"
                )


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
        TrainingError: if another process has ended, and torchrun has not ended this one yet.
    """
    place = own_place()
    if place.size == 1:
        yield ALONE, device
        return
    own = _own_device(device, place.local_rank)
    if own.type == "cuda":
        torch.cuda.set_device(own)
    dist.init_process_group(
        "nccl" if own.type == "cuda" else "gloo",
        timeout=_TIMEOUT,
        device_id=own if own.type == "cuda" else None,
    )
    try:
        yield World(place.rank, place.size, place.local_size), str(own)
    except RuntimeError as error:
        if not _lost(error):
            raise
        wait_for_the_end()
        reason, *_ = re.sub(r"^\[[^]]*\] ", "", str(error)).splitlines()  # without a source's line
        raise TrainingError(
            "another process of the training has ended, see what it says; the same command goes on "
            f"from the last checkpoint ({reason[:120]})",
            of_block=False,
        ) from error
    # not after an error: NCCL would wait for the others here, and torchrun for this process
    dist.destroy_process_group()


def _lost(error: RuntimeError) -> bool:
    """Whether it came of the connection to the others, as NCCL, the store or gloo put it."""
    return isinstance(error, (dist.DistBackendError, dist.DistNetworkError)) or (
        "gloo" in str(error).lower()
    )


def _own_device(name: str, local_rank: int) -> torch.device:
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(
            f"device must be auto, cpu or cuda under torchrun, which gives each process a GPU of "
            f"its own, got {shown(name)}; CUDA_VISIBLE_DEVICES chooses the GPUs"
        )
    device = pick_device(name)
    if device.type != "cuda":
        return device
    if local_rank >= torch.cuda.device_count():
        raise ValueError(
            f"torchrun's --nproc-per-node must be at most {torch.cuda.device_count()} on this "
            "machine, a process for each GPU that PyTorch sees"
        )
    return pick_device(f"cuda:{local_rank}")
