"""The episodes of a search: what was handed out, what is under way, what is over."""

from __future__ import annotations

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.common.messages import shown
from nni_blockqnn.predictor.predictor import Network
from nni_blockqnn.q_learning._networks import NetworkKey


class UncountableError(ValueError):
    """A result that must not count; the message says why."""


class OtherCostError(UncountableError):
    """A result of a network of another cost than this search's (``match``)."""


class Episodes:
    """Numbers what is handed out, and says which of it may still count.

    Attributes:
        next: the number of the next episode.
        own: how many this search handed out; the others were imported with their results.
    """

    def __init__(self) -> None:
        self.next = 0
        self.own = 0
        self._handed_out: dict[int, Network] = {}
        self._under_way: dict[int, NetworkKey] = {}
        self._counted: set[int] = set()
        self._failed: set[int] = set()
        self._lost: set[int] = set()

    @property
    def under_way(self) -> list[int]:
        """Episodes that were handed out and neither counted nor released, the oldest first."""
        return sorted(self._under_way)

    @property
    def networks_under_way(self) -> list[Network]:
        return [self._handed_out[episode] for episode in self._under_way]

    def network(self, episode: int) -> Network | None:
        """What was handed out under this number, if anything was."""
        return self._handed_out.get(episode)

    def is_under_way(self, key: NetworkKey) -> bool:
        return key in self._under_way.values()

    def start(self, episode: int, network: Network, *, imported: bool = False) -> None:
        """The network goes out under this number, or went out elsewhere and is imported."""
        if not imported and episode not in self._handed_out:
            self.own += 1
        self._handed_out[episode] = network
        self._under_way[episode] = NetworkKey(*network)
        self.next = max(self.next, episode + 1)

    def open_network(self, episode: int, block: Block | None = None) -> Network:
        """The network of an episode that may still count.

        Args:
            block: the one that a result names; it must be the episode's, under any numbering.

        Raises:
            UncountableError: if the episode was never handed out, was handed out with another
                block, or has counted already.
        """
        network = self._handed_out.get(episode)
        if network is None:
            raise UncountableError(f"episode {shown(episode)} was never handed out")
        sent, repeats = network
        # equal blocks: the one that was sent has its fingerprint computed already
        if block is None or sent == block:
            block = sent
        elif NetworkKey(sent, repeats) != NetworkKey(block, repeats):
            raise UncountableError(f"episode {episode} was handed out with another block")
        if episode in self._counted:
            raise UncountableError(f"episode {episode} has counted already")
        return block, repeats

    def count(self, episode: int) -> bool:
        """The episode has its result; returns whether it was taken for lost."""
        self._counted.add(episode)
        return self._end(episode)

    def fail(self, episode: int) -> bool:
        """The episode's trial said why it failed; returns whether it was taken for lost.

        Raises:
            UncountableError: if it has said so before.
        """
        if episode in self._failed:
            raise UncountableError(f"episode {episode} has failed already")
        self._failed.add(episode)
        return self._end(episode)

    def release(self, episode: int) -> Network | None:
        """Take the episode for lost; a late result still counts.

        Returns its network; ``None`` if it was not under way.
        """
        if self._under_way.pop(episode, None) is None:
            return None
        self._lost.add(episode)
        return self._handed_out[episode]

    def _end(self, episode: int) -> bool:
        self._under_way.pop(episode, None)
        was_lost = episode in self._lost
        self._lost.discard(episode)
        return was_lost
