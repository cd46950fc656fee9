"""How long a network takes for an image: a deep narrow one is slower than its FLOPs say."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

_IMAGES = 32
_REPETITIONS = 5
_ENOUGH_SECONDS = 0.5


def image_milliseconds(network: nn.Module, image_shape: tuple[int, int, int]) -> float:
    """Milliseconds an image in batches of 32, on the network's device: the median of five batches.

    Fewer batches where they take over half a second together.
    """
    device = next(network.parameters()).device
    images = torch.zeros(_IMAGES, *image_shape, device=device)
    images = images.to(memory_format=torch.channels_last)
    was_training = network.training
    network.eval()
    taken: list[float] = []
    with torch.inference_mode():
        network(images)  # the first one chooses kernels and allocates memory
        while len(taken) < _REPETITIONS and sum(taken) < _ENOUGH_SECONDS:
            _wait_for(device)
            began = time.perf_counter()
            network(images)
            _wait_for(device)
            taken.append(time.perf_counter() - began)
    network.train(was_training)
    return 1000 * statistics.median(taken) / _IMAGES


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
