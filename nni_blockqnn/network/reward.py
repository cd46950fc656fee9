"""The reward that stands for the final accuracy after an early stop (paper, Section 3.3)."""

from __future__ import annotations

import math


def reward(accuracy: float, flops: int, density: float, mu: float = 1.0, rho: float = 8.0) -> float:
    """accuracy - mu ln(FLOPs / 1e6) - rho ln(density), with the paper's weights as defaults.

    Args:
        accuracy: early-stop accuracy in percent.
        flops: multiply-accumulates of the network for one image.
        density: edges over dots of the block's graph.
        mu: weight of ln FLOPs. Measure it on a pilot: on converged networks its sign may turn.
        rho: weight of ln density.

    Raises:
        ValueError: if flops or density is not positive.
    """
    if not flops > 0 or not density > 0:
        raise ValueError(
            f"flops and density must be positive, got flops={flops!r}, density={density!r}"
        )
    # math.log takes integers of any size; a float division first would overflow
    return accuracy - mu * (math.log(flops) - math.log(1e6)) - rho * math.log(density)
