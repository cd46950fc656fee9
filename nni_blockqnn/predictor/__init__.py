"""The surrogate: a Gaussian process that predicts a network's result from its block."""
