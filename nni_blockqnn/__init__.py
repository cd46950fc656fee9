"""BlockQNN (arXiv 1708.05552) for NNI: finds convolutional blocks with Q-learning.

Names are imported on first use, so that the tuner starts without PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nni_blockqnn.common.cores import wait_asleep as _wait_asleep

if TYPE_CHECKING:
    from nni_blockqnn.automl.found import search
    from nni_blockqnn.blocks.block import Block
    from nni_blockqnn.blocks.layer import InvalidBlockError
    from nni_blockqnn.export import load
    from nni_blockqnn.model_space import build_network
    from nni_blockqnn.network.cost import Cost, estimate_cost
    from nni_blockqnn.network.reward import reward
    from nni_blockqnn.network.spec import NetworkSpec
    from nni_blockqnn.q_learning.search import BlockSearch
    from nni_blockqnn.space.search_space import SearchSpace
    from nni_blockqnn.tuner import BlockQNNTuner

_wait_asleep()  # here, since whatever loads PyTorch for this package comes later

__version__ = "0.1.0"

_HOMES = {
    "Block": "blocks.block",
    "BlockQNNTuner": "tuner",
    "BlockSearch": "q_learning.search",
    "Cost": "network.cost",
    "InvalidBlockError": "blocks.layer",
    "NetworkSpec": "network.spec",
    "SearchSpace": "space.search_space",
    "build_network": "model_space",
    "estimate_cost": "network.cost",
    "load": "export",
    "reward": "network.reward",
    "search": "automl.found",
}
"""The module below this package that each public name comes from."""

__all__ = [
    "Block",
    "BlockQNNTuner",
    "BlockSearch",
    "Cost",
    "InvalidBlockError",
    "NetworkSpec",
    "SearchSpace",
    "build_network",
    "estimate_cost",
    "load",
    "reward",
    "search",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
