"""Network structure codes: layers, rows, and when two blocks are the same (no torch, no NNI)."""
