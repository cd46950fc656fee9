"""Networks are told apart by isomorphism and repeats, whatever the numbering of layers."""

from __future__ import annotations

import pytest

from nni_blockqnn import Block, SearchSpace
from nni_blockqnn.q_learning._networks import NetworkKey


def test_network_keys_are_equal_where_keys_and_repeats_are() -> None:
    blocks = list(SearchSpace(max_layers=4).blocks())
    assert len({NetworkKey(block, 2) for block in blocks}) == len({block.key for block in blocks})
    assert NetworkKey(blocks[0], 2) != NetworkKey(blocks[0], 3)
    assert NetworkKey(blocks[0], 2) != (blocks[0].key, 2)


def test_blocks_of_one_fingerprint_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Block, "fingerprint", 7)
    blocks = list(SearchSpace(max_layers=3).blocks())
    assert len({NetworkKey(block, 1) for block in blocks}) == 42
