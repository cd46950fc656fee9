"""Accuracies for blocks that are in no table: a forest's prediction, and noise as measured."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from scipy.stats import spearmanr
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.feature_extraction import DictVectorizer
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import r2_score

from nni_blockqnn.blocks.block import Block
from nsc_bench.features import features
from nsc_bench.table import Entry, Table

_RAREST = 5
"""A feature that fewer functions have is not used: it would be learned by heart."""
_TREES = 100


class Surrogate:
    """A stand-in for the training of any block, fitted to a table.

    The accuracy that it gives is the forest's prediction, plus an error of the function that all
    seeds share, plus the noise of one training. The last two are normal, with the variances that
    were measured where the prediction is as high: the better a block, the smaller both are.
    """

    def __init__(self, table: Table) -> None:
        """Fits to the mean accuracy of each function of the table; takes seconds."""
        self._spec = table.spec
        entries = _by_function(table)
        self._accuracies = np.array([np.mean(_accuracies(twins)) for twins in entries])
        rows = [features(twins[0].block, table.spec) for twins in entries]
        counts = Counter(name for row in rows for name in row)
        self._names = {name for name, count in counts.items() if count >= _RAREST}
        self._vectorizer = DictVectorizer(sparse=False)
        vectors = self._vectorizer.fit_transform(list(map(self._common, rows)))
        # drawn with replacement, so that each function has trees that have not seen it
        self._forest = ExtraTreesRegressor(
            _TREES, max_features=0.5, bootstrap=True, oob_score=True, random_state=0
        ).fit(vectors, self._accuracies)
        self._positions = {twins[0].block.function_key: at for at, twins in enumerate(entries)}
        self._seed_variance, self._function_variance = self._variances(entries)
        self._expected: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def predict(self, blocks: Sequence[Block]) -> np.ndarray:
        """(len(blocks),) expected accuracies in percent, without noise."""
        # the same sum as the forest's own predict, which takes 20 times as long for one block
        vectors = self.vectors(blocks).astype(np.float32)
        trees = self._forest.estimators_
        return sum(tree.tree_.predict(vectors)[:, 0] for tree in trees) / len(trees)

    def unseen(self, blocks: Sequence[Block]) -> np.ndarray:
        """The same, but for blocks of the table by the trees that have not seen them."""
        known = self._positions
        return np.array(
            [
                self._unseen[known[block.function_key]] if block.function_key in known else expected
                for block, expected in zip(blocks, self.predict(blocks), strict=True)
            ]
        )

    def vectors(self, blocks: Sequence[Block]) -> np.ndarray:
        """(len(blocks), features) what the forest sees of them."""
        rows = [self._common(features(block, self._spec)) for block in blocks]
        return self._vectorizer.transform(rows)

    def accuracy(self, block: Block, seed: int) -> float:
        """In percent; always the same for a block, or its twin, and a seed."""
        expected, shared = self._expected_of(block)
        own = _sd(self._seed_variance, expected) * normal(f"{block.function_key} seed {seed}")
        return float(np.clip(expected + shared + own, 0, 100)[0])

    def error(self, block: Block) -> float:
        """How far the block's mean over all seeds lies above what is predicted, as it was drawn."""
        return float(self._expected_of(block)[1][0])

    def _expected_of(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """What is predicted, and the error of the function; both (1,)."""
        function = block.function_key
        if function not in self._expected:
            expected = self.predict([block])
            shared = _sd(self._function_variance, expected) * normal(function)
            self._expected[function] = expected, shared
        return self._expected[function]

    def measured_errors(self, entries: Sequence[Entry]) -> tuple[np.ndarray, np.ndarray]:
        """How far blocks of the table lie above what is predicted, the noise of few seeds apart.

        Returns:
            The expected error of each block, given its accuracies, and the variance that is left,
            both (len(entries),).
        """
        unseen = self.unseen([entry.block for entry in entries])
        accuracies = np.array([entry.accuracy for entry in entries])
        seeds = np.array([len(entry.accuracies) for entry in entries])
        between = self._function_variance.predict(unseen)
        noise = self._seed_variance.predict(unseen) / seeds
        known = between / np.maximum(between + noise, 1e-12)
        return known * (accuracies - unseen), (1 - known) * between

    @cached_property
    def r_squared(self) -> float:
        """Of functions' mean accuracies, each predicted by the trees that have not seen it."""
        return float(r2_score(self._accuracies, self._unseen))

    @cached_property
    def spearman(self) -> float:
        """Rank correlation of the same."""
        return float(spearmanr(self._accuracies, self._unseen)[0])

    @cached_property
    def typical_error(self) -> float:
        """Root mean square of the same predictions' errors, in points, noise of the trainings
        included."""
        return float(np.sqrt(np.mean((self._accuracies - self._unseen) ** 2)))

    @property
    def _unseen(self) -> np.ndarray:
        return self._forest.oob_prediction_

    def _common(self, row: dict[str, float]) -> dict[str, float]:
        return {name: value for name, value in row.items() if name in self._names}

    def _variances(
        self, entries: list[list[Entry]]
    ) -> tuple[IsotonicRegression, IsotonicRegression]:
        """Between seeds and between functions, each falling with the expected accuracy."""
        variances = [_variances(twins) for twins in entries]
        several = [at for at, found in enumerate(variances) if found]
        between_seeds = [np.mean(variances[at]) for at in several]
        seeds = _falling().fit(self._unseen[several], between_seeds)
        trainings = np.array([len(_accuracies(twins)) for twins in entries])
        of_means = seeds.predict(self._unseen) / trainings
        squares = (self._accuracies - self._unseen) ** 2
        return seeds, _falling().fit(self._unseen, squares - of_means)


def _by_function(table: Table) -> list[list[Entry]]:
    """Twins together: a forest that has seen one knows the other."""
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in table.entries:
        groups[entry.block.function_key].append(entry)
    return list(groups.values())


def _accuracies(twins: list[Entry]) -> list[float]:
    return [accuracy for entry in twins for accuracy in entry.accuracies]


def _variances(twins: list[Entry]) -> list[float]:
    """Between the seeds, of each that has several."""
    several = [entry.accuracies for entry in twins if len(entry.accuracies) > 1]
    return [float(np.var(accuracies, ddof=1)) for accuracies in several]


def _falling() -> IsotonicRegression:
    return IsotonicRegression(y_min=0, increasing=False, out_of_bounds="clip")


def _sd(variance: IsotonicRegression, expected: np.ndarray) -> np.ndarray:
    return np.sqrt(variance.predict(expected))


def normal(text: str) -> float:
    """A standard normal number that belongs to the text."""
    digest = hashlib.sha256(text.encode()).digest()
    return float(np.random.default_rng(int.from_bytes(digest[:16], "big")).standard_normal())
