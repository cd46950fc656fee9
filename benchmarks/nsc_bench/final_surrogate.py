"""Long trainings for blocks that had none: learnt from few of them and from many early stops.

The early stop's surrogate knows the shape of blocks from a thousand trainings, and a straight line
leads from what it expects to the long training's accuracy. A forest on the shapes corrects that for
blocks which learn fast or slowly, as far as a hundred long trainings tell. How far a block's early
stop really lies above what its shape lets expect carries over in part, as measured.
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
from nsc_bench.table import Entry, Table

_TREES = 200
_SMALLEST_LEAF = 5
"""Long trainings in a leaf, at least: a single one is mostly noise."""


class FinalSurrogate:
    """A stand-in for the long training of any block at one cost.

    What it gives is the expected accuracy, plus an error of the function that all seeds share, plus
    the noise of one training, both normal and of the size that was measured.

    Attributes:
        early: the early stop's surrogate.
        carried: how much of a block's own error there is found again after the long training.
        own_error: standard deviation of what the long training adds to that, in points.
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
        expected = self.early.unseen(blocks)
        errors, left = self.early.measured_errors(_early_entries(early, long.entries))
        self._slope, self.carried, self._offset = _plane(expected, errors, self._finals)
        residuals = self._finals - self._line(expected) - self.carried * errors
        self._forest = ExtraTreesRegressor(
            _TREES,
            min_samples_leaf=_SMALLEST_LEAF,
            max_features=0.5,
            bootstrap=True,
            oob_score=True,
            random_state=0,
        ).fit(self.early.vectors(blocks), residuals)
        self._by_shape = self._line(expected) + self._forest.oob_prediction_
        self._unseen = self._by_shape + self.carried * errors
        self._predicted: dict[str, float] = {}
        self._noise = seed_noise(long.entries)
        seeds = np.array([len(entry.accuracies) for entry in long.entries])
        unexplained = np.mean(
            (self._finals - self._unseen) ** 2 - self._noise**2 / seeds - self.carried**2 * left
        )
        self.own_error = float(np.sqrt(max(unexplained, 0.0)))

    def predict(self, blocks: Sequence[Block]) -> np.ndarray:
        """(len(blocks),) expected accuracies in percent, without noise."""
        vectors = self.early.vectors(blocks).astype(np.float32)
        trees = self._forest.estimators_  # summed as in Surrogate.predict
        corrections = sum(tree.tree_.predict(vectors)[:, 0] for tree in trees) / len(trees)
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
        errors = self.carried * self.early.error(block)
        errors += self.own_error * normal(f"{function} long")
        return self._predicted[function] + errors

    @cached_property
    def r_squared(self) -> float:
        """Of long trainings' means, each predicted from the block's shape and its early stop by the
        trees that have not seen its long training."""
        return float(r2_score(self._finals, self._unseen))

    @cached_property
    def spearman(self) -> float:
        """Rank correlation of the same."""
        return float(spearmanr(self._finals, self._unseen)[0])

    @cached_property
    def spearman_by_shape(self) -> float:
        """The same without the block's own early stop."""
        return float(spearmanr(self._finals, self._by_shape)[0])

    @cached_property
    def typical_error(self) -> float:
        """Root mean square of the error of what ``r_squared`` is about, in points, noise of the
        trainings included."""
        return float(np.sqrt(np.mean((self._finals - self._unseen) ** 2)))

    def _line(self, expected: np.ndarray) -> np.ndarray:
        return self._offset + self._slope * expected


def _early_entries(early: Table, long: Sequence[Entry]) -> list[Entry]:
    """Those of the blocks that were trained long.

    Raises:
        ValueError: if one has no early stop.
    """
    found = [early.find(entry.block) for entry in long]
    if None in found:
        missing = long[found.index(None)].block
        raise ValueError(f"each long training needs an early stop, {missing} has none")
    return [entry for entry in found if entry is not None]


def _plane(expected: np.ndarray, errors: np.ndarray, finals: np.ndarray) -> tuple[float, ...]:
    """Slopes in both and the offset, by least squares; a block's own error is never held against
    it."""
    columns = np.column_stack([expected, errors, np.ones_like(expected)])
    slope, carried, offset = np.linalg.lstsq(columns, finals, rcond=None)[0]
    if carried < 0:
        slope, offset = np.polyfit(expected, finals, 1)
        carried = 0.0
    return float(slope), float(carried), float(offset)
