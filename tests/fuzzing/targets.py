"""The readers of values from outside, and what each of them must have read."""

from __future__ import annotations

import json
import numbers
from dataclasses import asdict
from typing import Any

import numpy as np

from fuzzing.judging import Target
from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer import InvalidBlockError
from nni_blockqnn.common.json_text import TEXT_LIMIT
from nni_blockqnn.exchange.class_args import check_class_args
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.spec import PRESETS, NetworkSpec
from nni_blockqnn.space.search_space import SearchSpace
from nni_blockqnn.tuner import BlockQNNTuner


def _verify_block(value: Any, block: Block) -> None:
    rows = json.loads(value) if isinstance(value, str) else value
    rows = [list(row) for row in rows]
    for row in rows:
        assert all(map(_is_integer, row)), "not all are integers"
        if row[1] in (5, 6):
            row[3:] = sorted(row[3:])
    if rows[-1][1] != 7:
        rows.append([len(rows) + 1, 7, 0, 0, 0])
    assert block.codes == rows, f"{rows} became {block.codes}"
    forms: tuple[Any, ...] = (block.to_json(), block.codes, np.array(block.codes))
    for form in forms:
        assert Block.parse(form) == block, "another block after a round trip"


_KERNELS = {1: (1, 3, 5), 2: (1, 3), 3: (1, 3), 4: (0,), 5: (0,), 6: (0,)}


def _is_block(value: Any) -> bool:
    """Table 1 once more, without words for what is wrong."""
    if isinstance(value, str) and len(value) > TEXT_LIMIT:
        return False
    try:
        rows = json.loads(value) if isinstance(value, str) else value
        if isinstance(rows, np.ndarray):
            rows = rows.tolist() if rows.size <= 1000 else ()
        if not isinstance(rows, (list, tuple)) or not 1 <= len(rows) <= 200:
            return False
        if not all(isinstance(row, (list, tuple)) and len(row) == 5 for row in rows):
            return False
    except (ValueError, RecursionError):
        return False
    if not all(_is_integer(item) for row in rows for item in row):
        return False
    if tuple(rows[-1]) == (len(rows), 7, 0, 0, 0):
        rows = rows[:-1]
    return len(rows) > 0 and all(_is_row(*item) for item in enumerate(rows, 1))


def _is_row(number: int, row: tuple[int, int, int, int, int]) -> bool:
    index, kind, kernel, pred1, pred2 = row
    if index != number or kernel not in _KERNELS.get(kind, ()):
        return False
    earlier = range(1, number) if number > 1 else range(1)
    if kind in (5, 6):
        return number >= 3 and pred1 in earlier and pred2 in earlier and pred1 != pred2
    return pred1 in earlier and pred2 == 0


def _verify_space(value: Any, space: SearchSpace) -> None:
    said: dict[str, Any] = {"max_layers": 23, "conv_kernels": [1, 3, 5], "pool_kernels": [1, 3]}
    said |= {"encoding": "pcc", "extra_kinds": []}
    said |= value["block"]["_value"]
    for name, item in said.items():
        read = getattr(space, name)
        same = list(dict.fromkeys(item)) == list(read) if isinstance(read, tuple) else item == read
        assert same, f"{name} {item} became {read}"
    block = {name: getattr(space, name) for name in said}
    entries: dict[str, Any] = {"block": {"_type": "nsc", "_value": block}}
    for name, values in (("repeats", space.repeats), ("network", [space.network])):
        entries[name] = {"_type": "choice", "_value": values}
    again = SearchSpace.from_json(json.loads(json.dumps(entries)))
    assert again == space, "another space after a round trip"
    assert space.contains(space.random_block(np.random.default_rng(0)))


def _verify_network(value: Any, spec: NetworkSpec) -> None:
    if isinstance(value, str):
        value = json.loads(value) if value.lstrip().startswith("{") else {"preset": value}
    fields = {name: item for name, item in value.items() if item is not None}
    said = PRESETS[fields.pop("preset", "cifar10")] | fields
    for name, item in said.items():
        read = getattr(spec, name)
        assert (list(item) == list(read)) if isinstance(read, tuple) else item == read, name
        assert type(read) in (int, bool, str, tuple), f"{name} became a {type(read).__name__}"
    assert NetworkSpec.from_parameter(spec.to_json()) == spec, "another network after a round trip"
    assert NetworkSpec(**value) == spec == NetworkSpec(**asdict(spec))
    assert all(type(n) is int and n > 0 for n in estimate_cost(_RESIDUAL_BLOCK, spec))


def _verify_class_args(value: Any, checked: dict[str, Any]) -> None:
    """What passes the check makes a tuner that works."""
    given = {name: item for name, item in value.items() if item is not None or name in checked}
    assert checked == given, f"{given} became {checked}"
    assert set(value) - set(checked) <= _MAY_BE_NONE, "an argument that says something was dropped"
    tuner = BlockQNNTuner(**value)
    tuner.update_search_space(_SMALL_SPACE)
    for number in range(2):
        (parameters,) = tuner.generate_multiple_parameters([number])
        tuner.receive_trial_result(number, parameters, {"default": 50.0 + number} | parameters)
    assert len(tuner.history) == 2, "its results do not count"


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


_RESIDUAL_BLOCK = Block.parse([[1, 4, 0, 0, 0], [2, 1, 3, 1, 0], [3, 1, 3, 2, 0], [4, 5, 0, 1, 3]])
_RANDOM_BLOCKS = tuple(
    SearchSpace().random_block(np.random.default_rng(seed)).codes for seed in range(20)
)
_MAY_BE_NONE = {"preset", "budget", "seed", "epsilon_schedule", "limits", "predictor"}
_SMALL_SPACE = {
    "block": {"_type": "nsc", "_value": {"max_layers": 4}},
    "repeats": {"_type": "choice", "_value": [1, 2]},
    "network": {"_type": "choice", "_value": ["digits"]},
}
_DIGITS_IN_FULL = {
    "input_shape": [1, 8, 8],
    "classes": 10,
    "filters": [16, 32],
    "repeats": 1,
    "stem_convs": 2,
    "stem_pools": 1,
    "project_input": False,
    "frame": "nin",
}

TARGETS = {
    "block": Target(
        Block.parse,
        _verify_block,
        (
            _RESIDUAL_BLOCK.codes,
            [[1, 1, 3, 0, 0], [2, 2, 3, 1, 0], [3, 3, 1, 1, 0], [4, 6, 0, 3, 2], [5, 7, 0, 0, 0]],
            [[1, 4, 0, 0, 0]],
            *_RANDOM_BLOCKS,
            [[1, 2, 3, 0, 0], *([n, 1, 5, n - 1, 0] for n in range(2, 200))],
        ),
        r"^a block|^row \d+: ",
        (InvalidBlockError,),
        texts=True,
        is_valid=_is_block,
    ),
    "space": Target(
        SearchSpace.from_json,
        _verify_space,
        (
            _SMALL_SPACE,
            {
                "block": {
                    "_type": "nsc",
                    "_value": {
                        "max_layers": 23,
                        "conv_kernels": [1, 3, 5],
                        "pool_kernels": [1, 3],
                        "encoding": "pcc",
                        "extra_kinds": ["separable"],
                    },
                },
                "repeats": {"_type": "choice", "_value": [4]},
                "network": {"_type": "choice", "_value": [json.dumps(_DIGITS_IN_FULL)]},
            },
            {
                "block": {"_type": "nsc", "_value": {}},
                "network": {"_type": "choice", "_value": [_DIGITS_IN_FULL]},
            },
        ),
        r"search space|block|repeats|network|max_layers|_kernels|encoding|extra_kinds|separable|"
        r"input_shape|classes|filters|stem_|project_input|frame",
    ),
    "network": Target(
        NetworkSpec.from_parameter,
        _verify_network,
        (_DIGITS_IN_FULL, {"preset": "imagenet", "repeats": 2}, {"filters": [8, 16]}),
        r"network|input_shape|classes|filters|repeats|stem_|project_input|frame",
        texts=True,
    ),
    "class_args": Target(
        check_class_args,
        _verify_class_args,
        (
            {"preset": "paper", "budget": 100, "seed": 3, "epsilon_schedule": [[1.0, 5], [0.1, 2]]},
            {"limits": {"max_params": 10**6, "max_flops": 10**9, "max_activations": 10**6}},
            {
                "batch_size": 1,
                "learning_rate": 0.1,
                "step_size": "visits",
                "discount": 1.0,
                "initial_q": 0.5,
                "replay_updates": 4,
                "replay_capacity": 100,
                "reward_shaping": True,
                "standardise": False,
                "exploration": "uniform",
            },
            {"repeats_rule": "agent", "known_blocks": "train", "optimize_mode": "minimize"},
        ),
        r"tuner argument|tuner's arguments|limit",
    ),
}
