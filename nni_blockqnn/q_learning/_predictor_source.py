"""The predictor among the sources of candidates: it chooses the best of a pool."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.common.messages import shown
from nni_blockqnn.predictor.families import varied
from nni_blockqnn.predictor.predictor import Network, Predictor
from nni_blockqnn.q_learning._candidates import CandidateSource
from nni_blockqnn.q_learning._faults import faults_logged
from nni_blockqnn.q_learning._pool import CandidatePool
from nni_blockqnn.q_learning._pool_size import PoolSize
from nni_blockqnn.q_learning.settings import CandidateSettings

_PARENTS_CONSIDERED = 4
"""Times as many of the best networks as there are parents."""


class PredictorSource(CandidateSource):
    """The predictor's choice among mutants of the best blocks, the agent's proposals and others."""

    def __init__(
        self, predictor: Predictor, pool: CandidatePool, settings: CandidateSettings
    ) -> None:
        self.predictor = predictor
        self.pending: Sequence[Network] = ()
        self._pool = pool
        self._settings = settings
        self._size = PoolSize(settings.pool, settings.time_share)
        self._networks: list[Network] = []
        self._rewards: list[float] = []

    @property
    def ready(self) -> bool:
        """Whether there are results enough to predict from."""
        return len(self._rewards) >= self._settings.first_results

    def observe(self, network: Network, reward: float, metric: Mapping[str, Any]) -> None:
        self._networks.append(network)
        self._rewards.append(reward)
        self._size.note_trial(metric)
        with faults_logged(self.predictor, "It has not learnt from this result"):
            self.predictor.observe(network, reward)

    def prepare(self) -> None:
        """Have the predictor learn now, so that the next suggestion need not wait for it."""
        if self.ready:
            with faults_logged(self.predictor, "It tries again at the next suggestion"):
                self.predictor.prepare()

    def means(self, networks: Sequence[Network]) -> np.ndarray | None:
        """The expected reward of each network, (n,); ``None`` if the predictor knows none."""
        if not self.ready:
            return None
        with faults_logged(self.predictor, "Results are picked by their own rewards"):
            means = self.predictor.mean(networks)
            if means is None or np.shape(means) == (len(networks),):
                return None if means is None else np.asarray(means, dtype=float)
            raise ValueError(f"mean must be ({len(networks)},), got shape {np.shape(means)}")
        return None

    def draw(self, epsilon: float, rng: np.random.Generator) -> Iterator[Network]:
        if self.ready:
            began = time.perf_counter()
            pool = self._pool.draw(self._size.size, self._parents(), epsilon, rng)
            ranked = self._ranked(pool)
            self._size.note_suggestion(len(pool), time.perf_counter() - began)
            yield from ranked

    def _ranked(self, pool: list[Network]) -> list[Network]:
        with faults_logged(self.predictor, "The agent's next block is taken"):
            ranked = list(self.predictor.rank(pool, self.pending))
            # others might be over the limits, or in no space at all
            if foreign := [network for network in ranked if network not in pool]:
                raise ValueError(f"rank must return candidates, got {shown(foreign[0])}")
            return ranked
        return []

    def _parents(self) -> list[Block]:
        """The best blocks, and as many again of other families, so that more than one hill is
        climbed."""
        count = self._settings.incumbents
        order = np.argsort(self._rewards, kind="stable")[::-1]
        best = [self._networks[at] for at in order[: _PARENTS_CONSIDERED * count]]
        leaders = best[: count - count // 2]
        with faults_logged(self.predictor, "Mutants are of the best blocks, alike or not"):
            families = [best[at] for at in varied(best, count, self.predictor)]
            others = [network for network in families if network not in leaders]
            return [block for block, _ in [*leaders, *others][:count]]
        return [block for block, _ in best[:count]]
