"""The tuners that are played: ours, and NNI's own over a space of choices."""

from __future__ import annotations

from typing import Any

from nni.algorithms.hpo.evolution_tuner import EvolutionTuner
from nni.algorithms.hpo.random_tuner import RandomTuner
from nni.algorithms.hpo.tpe_tuner import TpeTuner

from conformance.driver import Parameters, SearchSpace, Subject
from nni_blockqnn.blocks.block import Block
from nni_blockqnn.space.search_space import SearchSpace as BlockSpace
from nni_blockqnn.tuner import BlockQNNTuner


def blockqnn(preset: str) -> Subject:
    """Blocks of up to 22 layers, then of up to 7, or of one; learning starts early."""
    return Subject(
        lambda seed: BlockQNNTuner(preset=preset, seed=seed, budget=80, batch_size=8),
        _blocks(23),
        _blocks(8),
        _blocks(2),
        _block_metric,
        lambda space, parameters: BlockSpace.from_json(space).contains(
            Block.parse(parameters["block"])
        ),
        lambda parameters: (Block.parse(parameters["block"]).key, parameters["repeats"]),
    )


def nni_random() -> Subject:
    return _of_choices(lambda seed: RandomTuner(seed=seed))


def nni_tpe() -> Subject:
    return _of_choices(lambda seed: TpeTuner(optimize_mode="maximize", seed=seed))


def nni_evolution() -> Subject:
    """It takes no seed."""
    return _of_choices(lambda seed: EvolutionTuner(optimize_mode="maximize"))


def _of_choices(make: Any) -> Subject:
    return Subject(
        make, _choices(6), _choices(6, kernels=2), _choices(1, types=2), _sum_metric, _are_choices
    )


def _blocks(max_layers: int) -> SearchSpace:
    return {"block": {"_type": "nsc", "_value": {"max_layers": max_layers}}}


def _block_metric(parameters: Parameters) -> dict[str, Any]:
    layers = Block.parse(parameters["block"]).layers
    reward = 50.0 + sum(layer.type * layer.kernel for layer in layers) / 10
    identity = {name: parameters[name] for name in ("episode", "block", "repeats")}
    return {"default": reward, "accuracy": reward, "flops": 10**6} | identity


def _choices(layers: int, types: int = 7, kernels: int = 3) -> SearchSpace:
    """Rows of a block as ordinary choices: 7, 3 and T alternatives for the row T."""
    space = {}
    for index in range(1, layers + 1):
        for name, values in (
            (f"type{index}", range(1, types + 1)),
            (f"kernel{index}", range(1, 2 * kernels, 2)),
            (f"pred{index}", range(index)),
        ):
            space[name] = {"_type": "choice", "_value": list(values)}
    return space


def _sum_metric(parameters: Parameters) -> dict[str, Any]:
    return {"default": 50.0 + sum(parameters.values()) / 10} | parameters


def _are_choices(space: SearchSpace, parameters: Parameters) -> bool:
    return parameters.keys() == space.keys() and all(
        value in space[name]["_value"] for name, value in parameters.items()
    )
