"""How well early-stop results stand for final ones, and which reward would (no torch, no NNI)."""
