"""Which blocks there are: the search space, its limits, mutations, and NNI's ordinary choices."""
