"""Fuzzed inputs for all that reads blocks, networks, search spaces and the tuner's arguments."""

from fuzzing.judging import READ, REFUSED, Target, outcome
from fuzzing.targets import TARGETS
from fuzzing.values import fuzzed

__all__ = ["READ", "REFUSED", "TARGETS", "Target", "fuzzed", "outcome"]
