"""NNI's part in a search: asks the tuner for trials and reports their results."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from nni_blockqnn.blocks.block import Block, parse_block
from nni_blockqnn.tuner import BlockQNNTuner

Parameters = dict[str, Any]


def space(max_layers: int = 23, **others: Any) -> dict[str, Any]:
    """An NNI search space; ``repeats`` is a list of values, other keys are the block's."""
    entries: dict[str, Any] = {}
    if "repeats" in others:
        entries["repeats"] = {"_type": "choice", "_value": others.pop("repeats")}
    if "network" in others:
        entries["network"] = {"_type": "choice", "_value": [others.pop("network")]}
    return {"block": {"_type": "nsc", "_value": {"max_layers": max_layers} | others}} | entries


def tuner(search_space: dict[str, Any] | None = None, **class_args: Any) -> BlockQNNTuner:
    """A tuner that is ready to be asked."""
    made = BlockQNNTuner(**{"seed": 1, "budget": 100} | class_args)
    made.load_checkpoint()
    made.update_search_space(space() if search_space is None else search_space)
    return made


def layers_reward(block: Block) -> float:
    """A reward that differs between most blocks, in percent."""
    return 50.0 + sum(layer.type * layer.kernel for layer in block.layers) / 10


def metric(parameters: Parameters, reward: float | None = None, **others: Any) -> dict[str, Any]:
    """The final metric of a trial, with the least that the tuner is promised."""
    return {
        "default": layers_reward(_block_of(parameters)) if reward is None else reward,
        "accuracy": 61.5,
        "flops": 1_000_000,
        "episode": parameters["episode"],
        "block": parameters["block"],
    } | others


def network_of(parameters: Parameters) -> tuple[str, int]:
    """What makes a trial's network the same as another's."""
    return _block_of(parameters).key, parameters["repeats"]


def _block_of(parameters: Parameters) -> Block:
    space = json.loads(parameters.get("space", "{}"))
    return parse_block(parameters["block"], space.get("encoding", "pcc"))


class Experiment:
    """Keeps ``concurrency`` trials in flight, as the NNI manager does.

    Every trial that is sent is in ``sent``; none may be the network of one in flight.
    """

    def __init__(self, tuner: BlockQNNTuner, concurrency: int = 1, first_id: int = 0) -> None:
        self.tuner = tuner
        self.concurrency = concurrency
        self.sent: list[Parameters] = []
        self.in_flight: dict[int, Parameters] = {}
        self.exhausted = False
        self._next_id = first_id

    def fill(self, most: int | None = None) -> None:
        """Ask for trials until all slots are taken, or for ``most`` at the most."""
        free = self.concurrency - len(self.in_flight)
        wanted = free if most is None else min(free, most)
        if wanted <= 0 or self.exhausted:
            return
        ids = list(range(self._next_id, self._next_id + wanted))
        self._next_id += wanted
        got = self.tuner.generate_multiple_parameters(ids, st_callback=None)
        self.exhausted = len(got) < len(ids)
        for parameter_id, parameters in zip(ids, got, strict=False):
            networks = map(network_of, self.in_flight.values())
            assert network_of(parameters) not in networks, "already in flight"
            self.in_flight[parameter_id] = parameters
            self.sent.append(parameters)

    def finish(self, parameter_id: int, reward: float | None = None) -> None:
        """The trial reports and ends, with the right id."""
        parameters = self.in_flight.pop(parameter_id)
        self.tuner.receive_trial_result(parameter_id, parameters, metric(parameters, reward))
        self.tuner.trial_end(parameter_id, True)

    def fail(self, parameter_id: int) -> None:
        self.in_flight.pop(parameter_id)
        self.tuner.trial_end(parameter_id, False)

    def run(
        self,
        trials: int,
        end: Callable[[Experiment, int], None] | None = None,
        seed: int = 0,
    ) -> Experiment:
        """Send ``trials`` more trials and end all, in any order; ``end`` ends one, given its id."""
        rng = np.random.default_rng(seed)
        last = len(self.sent) + trials
        while True:
            self.fill(last - len(self.sent))
            if not self.in_flight:
                return self
            running = list(self.in_flight)
            (end or Experiment.finish)(self, running[rng.integers(len(running))])
