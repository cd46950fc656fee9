"""The optimizer of a recipe."""

from __future__ import annotations

import torch
from torch import nn

from nni_blockqnn.training._eager import eager
from nni_blockqnn.training.recipe import Recipe


def make_optimizer(
    network: nn.Module, recipe: Recipe, learning_rate: float
) -> torch.optim.Optimizer:
    """Fused, one kernel for all weights, wherever PyTorch has one."""

    def make(**options: bool) -> torch.optim.Optimizer:
        decay = recipe.weight_decay
        if recipe.optimizer == "adam":
            return eager(torch.optim.Adam)(
                network.parameters(),
                learning_rate,
                recipe.betas,
                recipe.eps,
                weight_decay=decay,
                **options,
            )
        return eager(torch.optim.SGD)(
            network.parameters(), learning_rate, recipe.momentum, weight_decay=decay, **options
        )

    try:
        return make(fused=True)
    except (RuntimeError, TypeError):  # not on this device, or not in this version of PyTorch
        return make()
