"""The optimizer of a recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from nni_blockqnn.common.patches import optimizer_without_compiler
from nni_blockqnn.training.recipe import Recipe


def make_optimizer(
    network: nn.Module, recipe: Recipe, learning_rate: float
) -> torch.optim.Optimizer:
    """PyTorch's Adam or SGD; fused (one kernel for all weights) wherever PyTorch has that."""
    kind: type[torch.optim.Optimizer] = torch.optim.SGD
    settings: dict[str, Any] = {"momentum": recipe.momentum}
    if recipe.optimizer == "adam":
        kind, settings = torch.optim.Adam, {"betas": recipe.betas, "eps": recipe.eps}
    optimizer: Callable[..., torch.optim.Optimizer] = optimizer_without_compiler(
        kind, torch.no_grad()
    )

    def make(**options: bool) -> torch.optim.Optimizer:
        return optimizer(
            network.parameters(),
            lr=learning_rate,
            weight_decay=recipe.weight_decay,
            **settings,
            **options,
        )

    try:
        return make(fused=True)
    except (RuntimeError, TypeError):  # not on this device, or not in this version of PyTorch
        return make()
