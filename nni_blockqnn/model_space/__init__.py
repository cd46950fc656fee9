"""Networks in PyTorch, built from structure codes."""

from nni_blockqnn.model_space.network import build_network

__all__ = ["build_network"]
