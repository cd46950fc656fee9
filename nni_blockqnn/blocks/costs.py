"""What one layer costs: the arithmetic that the cost rules of layer kinds are made of."""

from __future__ import annotations

from typing import NamedTuple


class Cost(NamedTuple):
    """Cost of a network or a part of it: Python integers, which a growing width cannot overflow.

    Attributes:
        flops: multiply-accumulates of the convolution and linear layers for one image, plus one
            for each output of a layer with bias: what ptflops counts with its aten backend.
        params: weights and biases that are trained.
        activations: elements of all feature maps that the layers write for one image, each layer by
            itself: the outputs of every ReLU, convolution, batch normalisation, pooling, add and
            concat, the global average pooling and the logits. Identities, poolings of kernel 1 and
            the "concat" of a single leaf write nothing. `build_network` writes no more, and less
            where PCCs read the same map or concats read each other.
    """

    flops: int
    params: int
    activations: int


def convolution_cost(inputs: int, outputs: int, kernel: int, area: int, groups: int = 1) -> Cost:
    """Cost of a convolution of stride 1 without a bias.

    Args:
        inputs: channels that it reads.
        outputs: channels that it writes.
        kernel: side of its square kernel.
        area: height times width of the feature map.
        groups: independent parts, as PyTorch's argument; ``inputs`` of them make it depthwise.
    """
    weights = inputs // groups * outputs * kernel * kernel
    return Cost(weights * area, weights, outputs * area)


def batch_norm_cost(channels: int, area: int) -> Cost:
    """Cost of a batch normalisation: a scale and a shift for each channel; ptflops counts none."""
    return Cost(0, 2 * channels, channels * area)


def map_cost(channels: int, area: int) -> Cost:
    """Cost of a layer without weights that writes a feature map: a ReLU or a pooling."""
    return Cost(0, 0, channels * area)


def total_cost(*costs: Cost) -> Cost:
    """The sum of the costs; nothing costs ``Cost(0, 0, 0)``."""
    return Cost(*map(sum, zip((0, 0, 0), *costs, strict=True)))
