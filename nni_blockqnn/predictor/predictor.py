"""What a search asks of a predictor. Subclass :class:`Predictor` to bring one of your own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.network.cost import Cost

Network = tuple[Block, int]
"""A block and its number of repeats, N."""

CostOf = Callable[[Block, int], Cost]
"""The exact cost of the network of a block and its number of repeats."""


class Predictor(ABC):
    """Learns from results and says which of several networks to train next.

    What it says must depend on the results and their order alone, so that a resumed search goes on
    as it would have. ``predictor: "module:Class"`` makes one as ``Class(cost)``.
    """

    def __init__(self, cost: CostOf) -> None:
        """
        Args:
            cost: of the network of a block and its number of repeats.
        """
        self.cost = cost

    @abstractmethod
    def observe(self, network: Network, result: float) -> None:
        """Learn from a result; larger is better."""

    @abstractmethod
    def rank(self, candidates: Sequence[Network], pending: Sequence[Network]) -> list[Network]:
        """The candidates, the most promising first.

        Args:
            pending: networks in training, whose results are awaited.
        """

    def prepare(self) -> None:  # noqa: B027 (optional)
        """Do after a result what :meth:`rank` would otherwise take time for; by default nothing."""

    def mean(self, networks: Sequence[Network]) -> np.ndarray | None:
        """The expected result of each network, (n,), without the noise of a training.

        ``None``, the default, if the predictor has no such estimate.
        """
        return None

    def similarity(self, networks: Sequence[Network]) -> np.ndarray | None:
        """How alike the networks are, (n, n), from 0 to 1, which a network is to itself.

        ``None``, the default, if the predictor has no such measure.
        """
        return None
