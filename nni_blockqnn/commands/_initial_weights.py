"""``blockqnn train --init-from``: the weights that a training begins with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nni_blockqnn.exchange.parameters import TrialTask
from nni_blockqnn.export.trained import load_described
from nni_blockqnn.model_space import build_network
from nni_blockqnn.training.weights import CarriedOver, carry_over


@dataclass(frozen=True)
class Origin:
    """Another training's network.

    Attributes:
        facts: what the ``network.json`` of a network that begins with it says of it.
    """

    weights: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path) -> Origin:
        """
        Raises:
            ExportError: if the folder holds no network that fits together.
        """
        description, network = load_described(folder)
        facts = {
            "weights_sha256": description.weights_sha256,
            "block": description.block.to_json(),
            "dataset": description.facts.get("dataset"),
        }
        return cls(network.state_dict(), facts)

    def initialise(self, network: nn.Module) -> CarriedOver:
        """As :func:`carry_over`."""
        return carry_over(self.weights, network)

    def try_on(self, task: TrialTask) -> CarriedOver:
        """So that weights of which none fits are refused before the data is read."""
        with torch.random.fork_rng(devices=[]):
            return self.initialise(build_network(task.block, task.spec))
