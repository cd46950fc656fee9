"""The ways to NNI: its commands, its files, and a trial's channel to its manager."""
