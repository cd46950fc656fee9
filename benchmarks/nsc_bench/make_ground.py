"""Train blocks of the full space at equal cost: from ``benchmarks/``, ``python -m
nsc_bench.make_ground --dataset cifar10 --data-dir DIR --output FOLDER``.

FOLDER gets a working file for each setup and the plan, which grows by a cycle at a time
(:mod:`nsc_bench.ground`). The script may be killed and started again at any time: it goes on with
the first training that is not there.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import torch
from filelock import FileLock
from json_lines import append, read_lines

from nni_blockqnn.blocks.block import Block
from nsc_bench.ground import EARLY_CYCLES, LONG_BLOCKS, Cycle, Known, next_cycle
from nsc_bench.make_table import job_name, resume, trained
from nsc_bench.plan import Job
from nsc_bench.setups import GROUNDS, SETUPS

EARLY, LONG, LARGE = range(3)


class Ground:
    """The working files of a ground.

    Attributes:
        names: of the setups of early and long trainings and of larger networks.
    """

    def __init__(self, dataset: str, data_dir: Path | None, folder: Path) -> None:
        self.names = GROUNDS[dataset]
        self.setups = [SETUPS[name] for name in self.names]
        self._data_dir = data_dir
        self._files = [folder / f"{name}.jsonl" for name in self.names]
        self._plan = folder / "plan.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self._done = [
            resume(file, setup) for file, setup in zip(self._files, self.setups, strict=True)
        ]

    def make(self, limit: int | None = None) -> None:
        """Train what is missing, at most `limit` trainings."""
        count = 0
        for cycle in self._cycles():
            for stage, job in _jobs(cycle, [setup.seeds or 1 for setup in self.setups]):
                if job_name(job) in self._done[stage]:
                    continue
                if count == limit:
                    return
                setup = self.setups[stage]
                line = trained(job, setup, setup.load(self._data_dir))
                append(self._files[stage], line | {"cycle": cycle.number})
                self._done[stage].add(job_name(job))
                count += 1
            print(time.strftime("%H:%M:%S"), "cycle", cycle.number, flush=True)

    def _cycles(self) -> Iterator[Cycle]:
        """Those that were planned, then new ones until there is enough."""
        number = 0
        for cycle in self._planned():
            yield cycle
            number = cycle.number + 1
        while True:
            early, long = self._known(EARLY), self._known(LONG)
            if number >= EARLY_CYCLES and len(long) >= LONG_BLOCKS:
                return
            large = [known.block for known in self._known(LARGE)]
            cycle = next_cycle(number, early, long, large, self.setups)
            append(self._plan, _written(cycle))
            yield cycle
            number += 1

    def _planned(self) -> list[Cycle]:
        return [_read(line) for line in read_lines(self._plan)]

    def _known(self, stage: int) -> list[Known]:
        """Blocks that are trained, those that diverged left out, in the order of their training."""
        lines: dict[str, list[dict]] = defaultdict(list)
        _, *trainings = read_lines(self._files[stage])
        for line in trainings:
            lines[line["block"]].append(line)
        return [
            Known(
                group[0]["cycle"],
                group[0]["kind"],
                Block.parse(text),
                sum(line["accuracy"] for line in group) / len(group),
            )
            for text, group in lines.items()
            if all(line["accuracy"] is not None for line in group)
        ]


def _jobs(cycle: Cycle, seeds: list[int]) -> Iterator[tuple[int, Job]]:
    for stage, blocks in enumerate((cycle.early, cycle.long, cycle.large)):
        for kind, block in blocks:
            for seed in range(seeds[stage]):
                yield stage, Job(kind, block, seed)


def _written(cycle: Cycle) -> dict[str, object]:
    blocks = {
        name: [[kind, block.to_json()] for kind, block in getattr(cycle, name)]
        for name in ("early", "long", "large")
    }
    return {"cycle": cycle.number, **blocks}


def _read(line: dict) -> Cycle:
    stages = (
        tuple((kind, Block.parse(text)) for kind, text in line[name])
        for name in ("early", "long", "large")
    )
    return Cycle(line["cycle"], *stages)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make_ground", description=__doc__)
    parser.add_argument("--dataset", choices=GROUNDS, default="cifar10")
    parser.add_argument("--data-dir", type=Path, help="where the data set's files lie")
    parser.add_argument("--limit", type=int, help="end after so many trainings")
    parser.add_argument("--output", type=Path, required=True, help="folder of the working files")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    with FileLock(options.output / "lock", timeout=0):
        Ground(options.dataset, options.data_dir, options.output).make(options.limit)


if __name__ == "__main__":
    main()
