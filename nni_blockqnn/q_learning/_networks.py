"""When two networks are the same for a search: isomorphic blocks, equally many repeats."""

from __future__ import annotations

from nni_blockqnn.blocks.block import Block


class NetworkKey:
    """Equal for isomorphic blocks with the same number of repeats, different for all others.

    The exact ``Block.key`` takes a fifth of a millisecond, so it is computed only where the blocks'
    fingerprints agree. A search of thousands of blocks needs few of them.
    """

    __slots__ = ("_block", "_hash", "_repeats")

    def __init__(self, block: Block, repeats: int) -> None:
        self._block = block
        self._repeats = repeats
        self._hash = hash((block.fingerprint, repeats))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NetworkKey):
            return NotImplemented
        return (
            self._hash == other._hash
            and self._repeats == other._repeats
            and (self._block == other._block or self._block.key == other._block.key)
        )
