"""The frame "upsample": the same blocks downwards and back up (Newell et al., arXiv 1603.06937)."""

from __future__ import annotations

from collections import OrderedDict

import torch.nn.functional as F  # noqa: N812, PyTorch's own name for it
from torch import Tensor, nn

from nni_blockqnn.model_space._layers import projection
from nni_blockqnn.network.widths import UpWidths


class Up(nn.Module):
    """One stage back up: (B, deep, h, w) and (B, skip, H, W) -> (B, widths.stage.output, H, W)."""

    def __init__(self, widths: UpWidths, stage: nn.Module) -> None:
        super().__init__()
        filters = widths.stage.filters
        self.deep = projection(widths.deep, filters)
        self.skip = projection(widths.skip, filters)
        self.stage = stage

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        # to the size, not by the factor: an odd one was halved downwards
        doubled = F.interpolate(self.deep(deep), size=skip.shape[-2:], mode="nearest")
        return self.stage(doubled.add_(self.skip(skip)))


class Hourglass(nn.Module):
    """The parts of a network, with the way up: (B, C, H, W) -> (B, classes, h, w).

    Its submodules have the names of the parts.
    """

    def __init__(self, parts: OrderedDict[str, nn.Module]) -> None:
        super().__init__()
        self._stages = sum(name.startswith("stage") for name in parts)
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        x = self.get_submodule("stem")(x)
        downwards = []
        for number in range(1, self._stages + 1):
            if number > 1:
                x = self.get_submodule(f"pool{number - 1}")(x)
            x = self.get_submodule(f"stage{number}")(x)
            downwards.append(x)
        for number in range(self._stages - 1, 0, -1):
            x = self.get_submodule(f"up{number}")(x, downwards[number - 1])
        return self.get_submodule("head")(x)
