"""Whether what a search finds beats hand-made blocks at equal cost, after a long training.

    python benchmarks/found_against_handmade.py --dataset cifar10 --data-dir DIR [--seeds 3]
    python benchmarks/found_against_handmade.py --dataset cifar10 --larger --data-dir DIR
    python benchmarks/found_against_handmade.py --dataset cifar10 --report

The first runs every search of :mod:`verdict.searches` from each seed in the full space, really
training every block, then trains its pick long and reads the test set. It may be killed and started
again, and several may run side by side with other ``--seeds-from`` or ``--arms``. The second trains
the picks of finished searches in a larger network, at four times the cost. The third prints the
tables of ``docs/search_quality.md``. DIR is as :mod:`nsc_bench.make_ground` wants it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from json_lines import append, read_lines
from nsc_bench.ground import HAND_MADE
from nsc_bench.setups import GROUNDS, SETUPS
from verdict.report import LARGER_SEEDS, larger_markdown, markdown
from verdict.searches import ARMS, WELL_VALIDATED, pick, record, search
from verdict.trainings import Trainings

from nni_blockqnn import Block

RESULTS = Path(__file__).with_name("results")
REFERENCES = ("residual", "inception", "two basic blocks")
FINAL_SEEDS = 3


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", choices=GROUNDS, default="cifar10")
    parser.add_argument("--data-dir", type=Path, help="where the data set's files lie")
    parser.add_argument("--output", type=Path, default=RESULTS / "found_against_handmade")
    parser.add_argument("--arms", nargs="+", choices=ARMS, help="default: those of the data set")
    parser.add_argument("--seeds", type=int, default=3, help="searches of each kind")
    parser.add_argument("--seeds-from", type=int, default=0, help="the first one's seed")
    parser.add_argument("--trials", type=int, default=100, help="of a search, at most 200")
    parser.add_argument("--larger", action="store_true", help="train picks in a larger network")
    parser.add_argument("--report", action="store_true", help="print what there is")
    options = parser.parse_args(arguments)
    arms = options.arms or arms_of(options.dataset)
    torch.set_num_threads(1)
    verdict = Verdict(options.dataset, options.data_dir, options.output / options.dataset)
    if options.report:
        print("\n".join(markdown(verdict.searches(), verdict.final, REFERENCES)))
        if verdict.larger is not None:
            print("\n".join(larger_markdown(verdict.searches(), verdict.larger, REFERENCES)))
        return
    if options.larger:
        verdict.train_larger(arms)
        return
    for seed in range(options.seeds_from, options.seeds_from + options.seeds):
        for arm in arms:
            verdict.run(arm, seed, options.trials)


def arms_of(dataset: str) -> list[str]:
    """The searches that the data set has images for."""
    well = f"{dataset}_validated" in SETUPS
    return [arm for arm in ARMS if well or arm not in WELL_VALIDATED]


class Verdict:
    """The searches of one data set and the long trainings of their picks."""

    def __init__(self, dataset: str, data_dir: Path | None, folder: Path) -> None:
        self._name = dataset
        early, final, self._larger = GROUNDS[dataset]
        self._data_dir, self._folder = data_dir, folder
        self._early, self.final = self._trainings(early), self._trainings(final)
        self._searches = folder / "searches.jsonl"

    def _trainings(self, name: str) -> Trainings:
        known = RESULTS / "nsc_ground" / f"{name}.jsonl"
        return Trainings(SETUPS[name], self._data_dir, self._folder / f"{name}.jsonl", known)

    @cached_property
    def _well_validated(self) -> tuple[Trainings, Trainings]:
        """Short and long ones, validated on more images."""
        names = (f"{self._name}_validated", f"{self._name}_long_validated")
        early, final = map(self._trainings, names)
        return early, final

    @cached_property
    def larger(self) -> Trainings | None:
        """In the larger network; None if there are none yet."""
        has_begun = (self._folder / f"{self._larger}.jsonl").exists()
        return self._trainings(self._larger) if has_begun else None

    def run(self, arm: str, seed: int, trials: int) -> None:
        done = {(line["arm"], line["seed"]): line for line in self.searches()}
        if (arm, seed) not in done:
            early, final = self._early, self.final
            if arm in WELL_VALIDATED:
                early, final = self._well_validated
            made, tried = search(arm, seed, trials, early, final)
            done[arm, seed] = record(arm, seed, tried, pick(arm, made, final))
            append(self._searches, done[arm, seed])
            print(time.strftime("%H:%M:%S"), arm, seed, done[arm, seed]["pick"], flush=True)
        blocks = [Block.parse(done[arm, seed]["pick"]), *(HAND_MADE[name] for name in REFERENCES)]
        for block in blocks:
            for final_seed in range(FINAL_SEEDS):
                self.final.line(block, final_seed)

    def train_larger(self, arms: Sequence[str]) -> None:
        """Train the hand-made blocks and the picks of these arms in the larger network.

        A pick that has no network of that cost is left out.
        """
        picks = (Block.parse(one["pick"]) for one in self.searches() if one["arm"] in arms)
        blocks = [*(HAND_MADE[name] for name in REFERENCES), *picks]
        larger = self._trainings(self._larger)
        for seed in LARGER_SEEDS:
            for block in blocks:
                if larger.setup.network(block) is not None:
                    larger.line(block, seed)

    def searches(self) -> list[dict]:
        """Those that are finished."""
        return read_lines(self._searches)


if __name__ == "__main__":
    main()
