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
    """The network of another training.

    Attributes:
        weights: its state dict.
        facts: for ``init_from`` in the ``network.json`` of a network that begins with it.
    """

    weights: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path) -> Origin:
        """The network that a training left in a folder.

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
        """Give a network the weights that fit, as :func:`carry_over` does."""
        return carry_over(self.weights, network)

    def try_on(self, task: TrialTask) -> CarriedOver:
        """Carry the weights over to a scratch network, to refuse them before the data is read."""
        with torch.random.fork_rng(devices=[]):
            return self.initialise(build_network(task.block, task.spec))
