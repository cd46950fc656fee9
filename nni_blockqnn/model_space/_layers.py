"""Modules around the layers of a block, and the MSRA initialisation of all weights.

The layers themselves are built by their kinds (:mod:`nni_blockqnn.blocks.kinds`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nni_blockqnn.blocks.kinds.table1 import convolution


class PCC(nn.Sequential):
    """The paper's pre-activation convolutional cell: (B, inputs, H, W) -> (B, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()  # not in place: other layers may read the same input
        self.conv = convolution(inputs, outputs, kernel)
        self.bn = nn.BatchNorm2d(outputs)


class Add(nn.Module):
    """Sum of two feature maps, each after its projection, named as the columns of the codes.

    The ReLU of a projection's PCC is not in here: the maps to project arrive rectified.
    """

    def __init__(self, pred1: nn.Module, pred2: nn.Module, overwritten: int | None) -> None:
        """
        Args:
            overwritten: the operand, 0 or 1, that the sum may be written over because nobody reads
                it afterwards; ``None`` for neither.
        """
        super().__init__()
        self.pred1 = pred1
        self.pred2 = pred2
        self._overwritten = overwritten

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        a, b = self.pred1(a), self.pred2(b)
        if self._overwritten is None:
            return a + b
        return a.add_(b) if self._overwritten == 0 else b.add_(a)


class Residual(nn.Module):
    """A block with a short-cut around it: y = block(x) + shortcut(x)."""

    def __init__(self, block: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y, shortcut = self.block(x), self.shortcut(x)
        return y + shortcut if shortcut is x else shortcut.add_(y)


def projection(inputs: int, outputs: int) -> nn.Module:
    """A 1x1 PCC where the channels change, nothing where they do not."""
    return nn.Identity() if inputs == outputs else PCC(inputs, outputs, 1)


def initialise(network: nn.Module) -> None:
    """MSRA initialisation (He et al., arXiv 1502.01852), drawn from PyTorch's global generator.

    Batch normalisation starts as PyTorch makes it: weight 1, bias 0.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.groups > 1:  # PyTorch's fan_out counts the outputs of all groups
                with torch.no_grad():
                    module.weight.mul_(math.sqrt(module.groups))
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
