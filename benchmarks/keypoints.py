"""Whether a search finds a better block for key points than hourglasses have, at equal cost.

    python benchmarks/keypoints.py             # search, then the long trainings; goes on if killed
    python benchmarks/keypoints.py --report    # print the table of docs/tasks.md

The data are the drawn figures of ``examples/key_points``. One search of 100 trials (predictor, all
networks of equal cost); then its pick, the hourglass's residual module, two other hand-made blocks,
a block found on CIFAR-10 and five random blocks are trained longer, from three seeds each, on all
training images, and measured on others. Some 20 minutes of one core.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from json_lines import append, read_lines
from scipy.stats import t as student_t

from nni_blockqnn import Block, BlockSearch, NetworkSpec, SearchSpace
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.exchange.parameters import TrialTask
from nni_blockqnn.network.equal_cost import CostTarget, equal_cost
from nni_blockqnn.training import TrainingArguments
from nni_blockqnn.trials.training import Trained, run_training

ROOT = Path(__file__).parents[1]
NETWORK = json.dumps(
    {
        "input_shape": [3, 48, 48],
        "classes": 14,
        "filters": [8, 12, 16],
        "repeats": 1,
        "stem_convs": 2,
        "stem_pools": 2,
        "frame": "upsample",
    }
)
TARGET = CostTarget("flops", 3_000_000)
SPACE = SearchSpace(max_layers=10, network=NETWORK, repeats=(1,))
TRIALS, RANDOM_BLOCKS, SEEDS = 100, 5, 3
HOURGLASS = Block.parse(
    [[1, 4, 0, 0, 0], [2, 1, 1, 1, 0], [3, 1, 3, 2, 0], [4, 1, 1, 3, 0], [5, 5, 0, 1, 4]]
)
"""The residual module of Newell et al. (arXiv 1603.06937), with one width throughout."""
TRANSFERRED = ROOT / "benchmarks/results/found_against_handmade/cifar10/searches.jsonl"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/keypoints")
    parser.add_argument("--data-dir", type=Path, default=Path("figures"))
    parser.add_argument("--report", action="store_true", help="print what there is")
    options = parser.parse_args(arguments)
    if options.report:
        print("\n".join(report(options.output)))
        return
    torch.set_num_threads(1)
    if not (options.data_dir / "val.json").exists():
        _figures().main([str(options.data_dir), "--train", "500", "--val", "300"])
    pick = _known_pick(options.output) or search(options.output / "search.jsonl", options.data_dir)
    contenders = {"found": pick, **_others()}
    for seed in range(SEEDS):
        for name, block in contenders.items():
            final(options.output / "finals.jsonl", name, block, seed, options.data_dir)
    print("\n".join(report(options.output)))


def _known_pick(folder: Path) -> Block | None:
    """What was trained long already, so that a later version's search need not find it anew."""
    found = [one for one in read_lines(folder / "finals.jsonl") if one["name"] == "found"]
    return Block.parse(found[0]["block"]) if found else None


def search(path: Path, data_dir: Path) -> Block:
    """The search's pick; trials that were recorded are told again and not trained."""
    known = read_lines(path)
    found = BlockSearch(
        SPACE,
        seed=0,
        budget=TRIALS,
        predictor="wl",
        candidates={"pool": 160},  # whatever else keeps the machine busy
        match={"flops": TARGET.value},
    )
    arguments = _arguments(data_dir, epochs=5, limit=300, seed=0)
    while len(found.history) < TRIALS and (asked := found.ask()):
        at = len(found.history)
        if at == len(known):
            spec = NetworkSpec.from_parameter(NETWORK).with_width(asked.width or 0)
            trained = _trained(TrialTask(asked.block, spec, asked.episode), arguments)
            record = {"block": asked.block.to_json(), "width": asked.width, **_measured(trained)}
            append(path, record)
            known.append(record)
            print(f"trial {at + 1}: PCKh {record['pckh']:.2f} %", flush=True)
        assert known[at]["block"] == asked.block.to_json(), "recorded by another version"
        found.tell(asked.episode, known[at]["pckh"])
    return found.best(1)[0].block


def final(path: Path, name: str, block: Block, seed: int, data_dir: Path) -> None:
    """Train long and test, unless that is recorded."""
    if any((one["name"], one["seed"]) == (name, seed) for one in read_lines(path)):
        return
    spec = equal_cost(block, NetworkSpec.from_parameter(NETWORK), TARGET)
    assert spec is not None, f"{name} cannot cost {TARGET.value}"
    arguments = _arguments(data_dir, epochs=20, limit=None, seed=seed, validation="test")
    trained = _trained(TrialTask(block, spec, None), arguments)
    cost = {"width": spec.filters[0], "flops": TARGET.of_network(block, spec)}
    record = {"name": name, "seed": seed, "block": block.to_json(), **cost, **_measured(trained)}
    append(path, record)
    print(f"{name}, seed {seed}: PCKh {record['pckh']:.2f} %", flush=True)


def report(folder: Path) -> Iterator[str]:
    finals: dict[str, list[dict[str, Any]]] = {}
    for line in read_lines(folder / "finals.jsonl"):
        finals.setdefault(line["name"], []).append(line)
    randoms = [name for name in finals if name.startswith("random")]
    best = max(randoms, key=lambda name: _mean(finals[name], "pckh"), default=None)
    yield f"After {len(read_lines(folder / 'search.jsonl'))} trials:\n"
    yield "| block | MFLOPs | PCKh@0.5 | found has more by | OKS-AP | trainings |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for name, lines in finals.items():
        if name not in randoms or name == best:
            label = f"best of {len(randoms)} random blocks" if name == best else name
            gain = "" if name == "found" else _gain(finals["found"], lines)
            yield _row(label, lines, _interval([one["pckh"] for one in lines]), gain)
    if randoms:
        lines = [one for name in randoms for one in finals[name]]
        means = [_mean(finals[name], "pckh") for name in randoms]
        yield _row(f"{len(randoms)} random blocks", lines, _interval(means), "")


def _row(label: str, lines: list[dict[str, Any]], pckh: str, gain: str) -> str:
    flops, oks_ap = _mean(lines, "flops") / 1e6, _mean(lines, "oks_ap")
    return f"| {label} | {flops:.2f} | {pckh} | {gain} | {oks_ap:.2f} | {len(lines)} |"


def _mean(lines: list[dict[str, Any]], measure: str) -> float:
    return fmean(one[measure] for one in lines)


def _gain(found: list[dict[str, Any]], others: list[dict[str, Any]]) -> str:
    """Over trainings from the same seeds."""
    by_seed = {one["seed"]: one["pckh"] for one in others}
    pairs = [(one["pckh"], by_seed.get(one["seed"])) for one in found]
    return _interval([one - other for one, other in pairs if other is not None])


def _interval(values: list[float]) -> str:
    """The mean and its 95 % interval by Student's t."""
    mean = fmean(values)
    if len(values) < 2:
        return f"{mean:.2f}"
    half = float(student_t.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
    return f"{mean:.2f} ({mean - half:.2f} to {mean + half:.2f})"


def _others() -> dict[str, Block]:
    picks = [line for line in read_lines(TRANSFERRED) if line["arm"] == "predictor, then finals"]
    blocks = {"hourglass module": HOURGLASS, **NAMED_BLOCKS}
    blocks["found on CIFAR-10"] = Block.parse(picks[0]["pick"])
    rng = np.random.default_rng(1)
    while len(blocks) < 4 + RANDOM_BLOCKS:
        block = SPACE.random_block(rng)
        if equal_cost(block, NetworkSpec.from_parameter(NETWORK), TARGET) is not None:
            blocks[f"random {len(blocks) - 3}"] = block
    return blocks


def _arguments(data_dir: Path, **options: Any) -> TrainingArguments:
    return TrainingArguments(
        "coco",
        data_dir=data_dir,
        task="keypoints",
        batch_size=16,
        learning_rate=0.005,
        device="cpu",
        threads=1,
        **options,
    )


def _trained(task: TrialTask, arguments: TrainingArguments) -> Trained:
    return run_training(
        task, arguments, on_start=lambda data, device: None, on_epoch=lambda epoch: None
    )


def _measured(trained: Trained) -> dict[str, float]:
    """After the last epoch; with validation="test", on the test images."""
    return {name: round(trained.accuracies[name], 4) for name in ("pckh", "oks_ap")}


def _figures() -> Any:
    path = ROOT / "examples/key_points/figures.py"
    spec = importlib.util.spec_from_file_location("figures", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
