"""Long trainings for blocks that had none: learnt from few of them and from many early stops.

The early stop's surrogate knows the shape of blocks from a thousand trainings, and a straight line
leads from what it expects to the long training's accuracy. A forest on the shapes corrects that for
blocks which learn fast or slowly, as far as a hundred long trainings tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.metrics import r2_score

from nni_blockqnn.blocks.block import Block
from nsc_bench.describe import seed_noise
from nsc_bench.surrogate import Surrogate, normal
from nsc_bench.table import Table

_TREES = 200
_SMALLEST_LEAF = 5
"""Long trainings in a leaf, at least: a single one is mostly noise."""


class FinalSurrogate:
    """A stand-in for the long training of any block at one cost.

    What it gives is the expected accuracy, plus an error of the function that all seeds share, plus
    the noise of one training, both normal and of the size that was measured.

    Attributes:
        early: the early stop's surrogate.
    """

    def __init__(self, early: Table, long: Table) -> None:
        """Takes seconds.

        Raises:
            ValueError: if fewer than ten blocks were trained long.
        """
        if len(long.entries) < 10:
            raise ValueError(f"ten long trainings are needed, got {len(long.entries)}")
        self.early = Surrogate(early)
        self._finals = np.array([entry.accuracy for entry in long.entries])
        blocks = [entry.block for entry in long.entries]
        # as for any other block: not by what its own early stop made of it
        expected = self.early.unseen(blocks)
        self._slope, self._offset = np.polyfit(expected, self._finals, 1)
        residuals = self._finals - self._line(expected)
        self._forest = ExtraTreesRegressor(
            _TREES,
            min_samples_leaf=_SMALLEST_LEAF,
            max_features=0.5,
            bootstrap=True,
            oob_score=True,
            random_state=0,
        ).fit(self.early.vectors(blocks), residuals)
        self._expected = expected
        self._predicted: dict[str, float] = {}
        self._noise = seed_noise(long.entries)
        seeds = np.array([len(entry.accuracies) for entry in long.entries])
        errors = np.mean((self._finals - self._unseen) ** 2 - self._noise**2 / seeds)
        self._function_error = float(np.sqrt(max(errors, 0.0)))

    def predict(self, blocks: Sequence[Block]) -> np.ndarray:
        """(len(blocks),) expected accuracies in percent, without noise."""
        corrections = self._forest.predict(self.early.vectors(blocks))
        return self._line(self.early.predict(blocks)) + corrections

    def accuracy(self, block: Block, seed: int) -> float:
        """In percent; always the same for a block, or its twin, and a seed."""
        own = self._noise * normal(f"{block.function_key} long, seed {seed}")
        return float(np.clip(self.expected(block) + own, 0, 100))

    def expected(self, block: Block) -> float:
        """In percent, the mean over all seeds."""
        function = block.function_key
        if function not in self._predicted:
            self._predicted[function] = float(self.predict([block])[0])
        return self._predicted[function] + self._function_error * normal(f"{function} long")

    @cached_property
    def r_squared(self) -> float:
        """Of long trainings' means, each predicted by the trees that have not seen it."""
        return float(r2_score(self._finals, self._unseen))

    @cached_property
    def spearman(self) -> float:
        """Rank correlation of the same."""
        return float(spearmanr(self._finals, self._unseen)[0])

    @property
    def _unseen(self) -> np.ndarray:
        return self._line(self._expected) + self._forest.oob_prediction_

    def _line(self, expected: np.ndarray) -> np.ndarray:
        return self._offset + self._slope * expected
