"""The whole way at CPU size: search, finalists, final training, comparison, transfer, export.

    CIFAR10_DIR=<train/<class>/*.jpg, test/<class>/*.jpg> FASHION_MNIST_DIR=<its four files> \
        python benchmarks/pipeline.py --folder FOLDER

Every step runs the command that a user would run, and is not run again if its result lies in
FOLDER. The found block is compared with the hand-made ones of Fig. 2 and with random blocks: each
network has the found one's FLOPs within 10 %, the same recipe and seeds 0, 1 and 2, and reads the
test set once a training. The search runs in a home of its own in FOLDER.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

import nni_blockqnn
from nni_blockqnn import Block, NetworkSpec, SearchSpace, estimate_cost
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.bridge import launch
from nni_blockqnn.bridge.ports import free_port

BIN = Path(sys.executable).parent
FILTERS = (16, 32, 64)
NETWORK: dict[str, Any] = {"preset": "cifar10", "stem_pools": 1, "repeats": 1}
IMAGES = 5_000
DATA = f'--dataset image-folder --data-dir "$CIFAR10_DIR" --limit {IMAGES} --batch-size 64'
MAX_FLOPS = 8e6
"""Both hand-made blocks are within it, and could be found."""
SEEDS = (0, 1, 2)
RANDOM_BLOCKS = 3
TOLERANCE = 0.1
"""Of the FLOPs."""


def run(*command: str, home: Path | None = None) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    if home is not None:
        environment["HOME"] = str(home)
    words = [str(BIN / command[0]), *command[1:]]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def network(filters: tuple[int, ...] = FILTERS) -> str:
    return json.dumps(NETWORK | {"filters": list(filters)})


def experiment(folder: Path, name: str, config: dict[str, Any]) -> str:
    """Run one to its end, once; its ID."""
    noted = folder / f"{name}.id"
    if not noted.exists():
        written = folder / f"{name}.yml"
        written.write_text(yaml.safe_dump(config | {"trainingService": {"platform": "local"}}))
        os.environ["HOME"] = str(folder / "home")
        port = free_port(18080)
        launched = launch.start(written, port, loopback=True)
        try:
            wait_for_end(launched)
        finally:
            launch.stop(launched.id)
        noted.write_text(launched.id)
    return noted.read_text()


def wait_for_end(launched: launch.Launched) -> None:
    while (status := launch.status(launched)) not in ("DONE", "ERROR", "TUNER_NO_MORE_TRIAL"):
        time.sleep(2)
    print(f"experiment {launched.id}: {status}", flush=True)


def search(folder: Path, trials: int) -> str:
    return experiment(
        folder,
        "search",
        {
            "experimentName": "pipeline: search",
            "searchSpace": {
                "block": {"_type": "nsc", "_value": {"max_layers": 12}},
                "repeats": {"_type": "choice", "_value": [1]},
                "network": {"_type": "choice", "_value": [network()]},
            },
            "trialCommand": f"python -m nni_blockqnn.trial {DATA} --epochs 6 --mu 0 --rho 0 "
            "--threads 1",
            "trialConcurrency": 2,
            "maxTrialNumber": trials,
            "tuner": {
                "className": "nni_blockqnn.tuner.BlockQNNTuner",
                "codeDirectory": str(folder),
                "classArgs": {
                    "budget": trials,
                    "seed": 0,
                    "predictor": "wl",
                    "limits": {"max_flops": MAX_FLOPS},
                },
            },
        },
    )


def train_finalists(folder: Path, search_id: str, finalists: int, epochs: int) -> Path:
    """The winners by validation accuracy after the longer training, as a file of finalists."""
    home = folder / "home"
    chosen, winners = folder / "finalists.json", folder / "winners.json"
    options = ("--k", str(finalists), "--output")
    if not chosen.exists():
        run("blockqnn", "top", search_id, *options, str(chosen), home=home)
    second = experiment(
        folder,
        "finalists",
        {
            "experimentName": "pipeline: finalists",
            "searchSpaceFile": str(chosen),
            "trialCommand": f"python -m nni_blockqnn.trial {DATA} --recipe final "
            f"--epochs {epochs} --mu 0 --rho 0 --threads 1",
            "trialConcurrency": 2,
            "maxTrialNumber": len(json.loads(chosen.read_text())["block"]["_value"]),
            "tuner": {"name": "GridSearch"},
        },
    )
    if not winners.exists():
        run("blockqnn", "top", second, "--by", "accuracy", *options, str(winners), home=home)
    return winners


def rivals(found: Block) -> Iterator[tuple[str, Block, tuple[int, ...]]]:
    """Name, block and filters of networks of the found one's FLOPs."""
    target = estimate_cost(found, NetworkSpec.from_parameter(network())).flops
    yield "found", found, FILTERS
    for name, block in NAMED_BLOCKS.items():
        yield name, block, filters_for(block, target)
    rng = np.random.default_rng(0)
    space = SearchSpace(max_layers=12)
    drawn = 0
    while drawn < RANDOM_BLOCKS:
        block = space.random_block(rng)
        filters = filters_for(block, target)
        if filters == FILTERS:
            drawn += 1
            yield f"random {drawn}", block, filters


def filters_for(block: Block, target: int) -> tuple[int, ...]:
    """The searched network's filters if its FLOPs are near the target, else those that are."""
    widths = [FILTERS, *((n, 2 * n, 4 * n) for n in range(4, 129))]
    costs = [
        estimate_cost(block, NetworkSpec.from_parameter(network(width))).flops for width in widths
    ]
    if abs(costs[0] - target) <= TOLERANCE * target:
        return FILTERS
    return widths[int(np.argmin(np.abs(np.array(costs) - target)))]


def compare(folder: Path, found: Block, epochs: int) -> None:
    tasks = [(*rival, seed) for rival in rivals(found) for seed in SEEDS]

    def train(task: tuple[str, Block, tuple[int, ...], int]) -> tuple[str, dict[str, Any]]:
        name, block, filters, seed = task
        output = folder / "compared" / f"{name}-{seed}".replace(" ", "-")
        data = ("--dataset", "image-folder", "--data-dir", os.environ["CIFAR10_DIR"])
        options = ("--limit", str(IMAGES), "--batch-size", "64", "--epochs", str(epochs), "--test")
        where = ("--output", str(output), "--network", network(filters), "--seed", str(seed))
        if not (output / "network.json").exists():
            run("blockqnn", "train", block.to_json(), *data, *options, *where, "--threads", "1")
        return name, json.loads((output / "network.json").read_text())

    results: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with ThreadPoolExecutor(2) as pool:
        for name, result in pool.map(train, tasks):
            results[name].append(result)
    print("| block | filters | layers | MFLOPs | validation, % | test, % | by seed |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, block, filters in rivals(found):
        cost = estimate_cost(block, NetworkSpec.from_parameter(network(filters)))
        tested = [result["test_accuracy"] for result in results[name]]
        valid = [result["best_accuracy"] for result in results[name]]
        seeds = ", ".join(f"{accuracy:.1f}" for accuracy in tested)
        print(
            f"| {name} | {'-'.join(map(str, filters))} | {len(block.layers)} "
            f"| {cost.flops / 1e6:.2f} | {np.mean(valid):.2f} | {np.mean(tested):.2f} | {seeds} |"
        )


def transfer(folder: Path, found: Block, epochs: int) -> None:
    """To Fashion-MNIST, with new weights and with those of CIFAR-10 where they fit."""
    narrow = json.dumps({"preset": "fashion_mnist", "filters": list(FILTERS), "repeats": 1})
    data = ("--dataset", "fashion_mnist", "--data-dir", os.environ["FASHION_MNIST_DIR"])
    options = ("--limit", str(IMAGES), "--batch-size", "64", "--epochs", str(epochs), "--test")
    print("| transfer to Fashion-MNIST | test, % (seeds 0, 1, 2) |")
    print("| --- | --- |")
    for name, init in (("new weights", ()), ("--init-from CIFAR-10", ("--init-from",))):
        tested = []
        for seed in SEEDS:
            output = folder / "transferred" / f"{'init' if init else 'new'}-{seed}"
            source = (*init, str(folder / "compared" / f"found-{seed}")) if init else ()
            where = ("--output", str(output), "--network", narrow, "--seed", str(seed), *source)
            if not (output / "network.json").exists():
                run("blockqnn", "train", found.to_json(), *data, *options, *where)
            tested.append(json.loads((output / "network.json").read_text())["test_accuracy"])
        print(f"| {name} | {', '.join(f'{accuracy:.2f}' for accuracy in tested)} |")


def export(folder: Path) -> None:
    trained, exported = folder / "compared" / "found-0", folder / "exported"
    if not exported.exists():
        print(run("blockqnn", "export", str(trained), "-o", str(exported)))
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        answers = [nni_blockqnn.load(str(place))(images) for place in (trained, exported)]
    print(f"reloaded: largest difference {(answers[0] - answers[1]).abs().max():.2g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=160)
    parser.add_argument("--finalists", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=20, help="of a final training")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    (folder / "home").mkdir(parents=True, exist_ok=True)
    search_id = search(folder, arguments.trials)
    winners = train_finalists(folder, search_id, arguments.finalists, arguments.epochs)
    found = Block.parse(json.loads(winners.read_text())["block"]["_value"][0])
    print(f"found: {found}", flush=True)
    compare(folder, found, arguments.epochs)
    transfer(folder, found, arguments.epochs)
    export(folder)


if __name__ == "__main__":
    main()
