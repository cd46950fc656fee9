"""Trials without a result: which blocks to try once more, which never, and when to give up.

A trial *failed* if it said why, and is *lost* if it ended without a word: killed by the system, by
an assessor, at ``maxTrialDuration``.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.predictor.predictor import Network
from nni_blockqnn.q_learning._networks import NetworkKey

ATTEMPTS = 2
"""A network that failed this often is not proposed again."""
LOST_LIMIT = 3
"""Nor is one that was lost this often, whatever ended its trials."""
REPORTED_IN_A_ROW = 10
"""The search gives up after this many failures with a reason and no result between them."""
SILENT_IN_A_ROW = 30
"""The same for trials that ended without a word. More, since an assessor ends trials so too."""


class Failure(NamedTuple):
    """A trial that said why it failed.

    Attributes:
        of_block: whether the block caused it, so another attempt would fail too.
    """

    episode: int
    block: Block
    repeats: int
    reason: str
    of_block: bool


class Failures:
    """The failures of a search."""

    def __init__(self) -> None:
        self.reported: list[Failure] = []
        self._counts: Counter[NetworkKey] = Counter()
        self._lost: Counter[NetworkKey] = Counter()
        self._retries: deque[Network] = deque()
        self._reported_in_a_row = 0
        self._silent_in_a_row = 0

    @property
    def stop_reason(self) -> str | None:
        """Why no more trials should be started, if that is so."""
        if self._reported_in_a_row >= REPORTED_IN_A_ROW:
            reason = self.reported[-1].reason
            return f"the last {self._reported_in_a_row} trials failed, the last one since {reason}"
        if self._silent_in_a_row >= SILENT_IN_A_ROW:
            return (
                f"the last {self._silent_in_a_row} trials ended without a result and without a "
                "reason; look at the stderr of one of them"
            )
        return None

    def add(self, failure: Failure) -> None:
        """Note a failure. One that the block did not cause earns it one more attempt."""
        self.reported.append(failure)
        self._reported_in_a_row += 1
        network = NetworkKey(failure.block, failure.repeats)
        self._counts[network] += 1
        if not failure.of_block and self._counts[network] < ATTEMPTS:
            self._retries.append((failure.block, failure.repeats))

    def add_silent(self) -> None:
        self._silent_in_a_row += 1

    def add_lost(self, network: Network) -> None:
        self._lost[NetworkKey(*network)] += 1

    def take_back_lost(self, network: Network) -> None:
        """A trial of the network that was taken for lost has said something after all."""
        self._lost[NetworkKey(*network)] -= 1

    def end_streak(self) -> None:
        """A trial succeeded, or the search was resumed, so the cause may be gone."""
        self._reported_in_a_row = self._silent_in_a_row = 0

    def excludes(self, network: NetworkKey) -> bool:
        """Whether the network failed, or was lost, too often to be proposed again."""
        return self._counts[network] >= ATTEMPTS or self._lost[network] >= LOST_LIMIT

    @property
    def retries(self) -> tuple[Network, ...]:
        """The networks that are to be tried once more, the oldest first."""
        return tuple(self._retries)

    def drop_retry(self, network: Network) -> None:
        """The network was handed out, as a retry or otherwise."""
        if network in self._retries:
            self._retries.remove(network)
