"""BlockQNN (arXiv 1708.05552) for NNI: finds convolutional blocks with Q-learning.

Names are imported on first use, so that the tuner starts without PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Not lazily: the function must win over the module of the same name, whoever imports that first.
from nni_blockqnn.reward import reward

if TYPE_CHECKING:
    from nni_blockqnn.codes.layer import InvalidBlockError
    from nni_blockqnn.cost import Cost, estimate_cost
    from nni_blockqnn.export import load
    from nni_blockqnn.model_space import build_network
    from nni_blockqnn.network_spec import NetworkSpec
    from nni_blockqnn.nsc import Block
    from nni_blockqnn.search_space import SearchSpace
    from nni_blockqnn.tuner import BlockQNNTuner

__version__ = "0.1.0"

_HOMES = {
    "Block": "nsc",
    "InvalidBlockError": "codes.layer",
    "SearchSpace": "search_space",
    "NetworkSpec": "network_spec",
    "Cost": "cost",
    "estimate_cost": "cost",
    "build_network": "model_space",
    "load": "export",
    "BlockQNNTuner": "tuner",
}

__all__ = [
    "Block",
    "BlockQNNTuner",
    "Cost",
    "InvalidBlockError",
    "NetworkSpec",
    "SearchSpace",
    "build_network",
    "estimate_cost",
    "load",
    "reward",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
