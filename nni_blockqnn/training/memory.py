"""Networks that no memory could hold are refused before they are built."""

from __future__ import annotations

import psutil
import torch

from nni_blockqnn.cost import Cost
from nni_blockqnn.training.errors import TrainingError

_BYTES = 4
_COPIES_OF_A_WEIGHT = 4
"""The weight itself, its gradient and Adam's two moments."""


def check_memory(cost: Cost, batch_size: int, device: torch.device) -> None:
    """Refuse a network whose training needs more than all memory of the device.

    The need is an estimate from below: weights with gradients and moments, and the feature maps of
    a batch.

    Raises:
        TrainingError: saying how much it needs, how much there is, and what to do.
    """
    needed = _BYTES * (_COPIES_OF_A_WEIGHT * cost.params + batch_size * cost.activations)
    available = _total_memory(device)
    if needed > available:
        raise TrainingError(
            f"the block is too large for this device ({device}): its network needs some "
            f"{needed / 2**30:.3g} GiB at batch {batch_size}, of {available / 2**30:.3g} GiB. Set "
            "the tuner's limits (max_params, max_activations), fewer repeats or a smaller batch"
        )


def _total_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return psutil.virtual_memory().total
