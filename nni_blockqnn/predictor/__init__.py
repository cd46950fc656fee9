"""The surrogate: predicts a network's result from its block."""
