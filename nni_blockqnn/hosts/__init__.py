"""The other machines of a remote search: log in as NNI does, look, set up, fetch results."""
