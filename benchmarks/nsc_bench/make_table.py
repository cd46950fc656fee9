"""Train the blocks of a table: from ``benchmarks/``, ``python -m nsc_bench.make_table --dataset
fashion_mnist --data-dir DIR``.

A line a training goes to a working file. The script may be killed and started again at any time: it
goes on with the first training that is not in the file.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from json_lines import append, read_lines

from nni_blockqnn.data import ImageData, Split
from nni_blockqnn.model_space import build_network
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.training.errors import TrainingError
from nni_blockqnn.training.evaluation import evaluate
from nni_blockqnn.training.loop import train
from nsc_bench.plan import Job, jobs
from nsc_bench.setups import SETUPS, Setup


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make_table", description=__doc__)
    fixed = [name for name, setup in SETUPS.items() if setup.match is None]
    parser.add_argument("--dataset", choices=fixed, default="fashion_mnist")
    parser.add_argument("--data-dir", type=Path, help="where the data set's files lie")
    parser.add_argument("--limit", type=int, help="end after so many trainings")
    parser.add_argument("--output", type=Path, help="the working file (partial/DATASET.jsonl)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    setup = SETUPS[options.dataset]
    output = options.output or working_file(options.dataset)
    output.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{output}.lock", timeout=0):
        make(setup, setup.load(options.data_dir), output, options.limit)


def working_file(dataset: str) -> Path:
    return Path(__file__).parent / "partial" / f"{dataset}.jsonl"


def make(setup: Setup, data: ImageData, output: Path, limit: int | None = None) -> None:
    """Appends trainings to the working file, at most `limit` of them.

    Raises:
        ValueError: if the file is another setup's.
    """
    done = resume(output, setup)
    missing = (job for job in jobs(setup.spec) if job_name(job) not in done)
    for count, job in enumerate(missing):
        if count == limit:
            return
        append(output, trained(job, setup, data))
        if count % 500 == 0:
            print(time.strftime("%H:%M:%S"), count + len(done), *job[:2], flush=True)


def trained(job: Job, setup: Setup, data: ImageData) -> dict[str, Any]:
    """A line of the working file; the accuracy is ``None`` if the loss diverged."""
    began = time.process_time()
    spec = setup.network(job.block)
    assert spec is not None
    line = {"kind": job.kind, "block": job.block.to_json(), "seed": job.seed, "accuracy": None}
    if setup.match is not None:
        line["width"] = spec.filters[0]
    try:
        line |= _measured(job, spec, setup, data)
    except TrainingError as error:
        print(f"{job.block}, seed {job.seed}: {error}", flush=True)
    return line | {"seconds": round(time.process_time() - began, 3)}


def _measured(job: Job, spec: NetworkSpec, setup: Setup, data: ImageData) -> dict[str, Any]:
    """The accuracy; at equal cost the curve over the epochs, too, on a quarter of the validation
    images."""
    device = torch.device("cpu")
    watched = data
    if setup.match is not None:
        assert isinstance(data.valid, Split)
        watched = replace(data, valid=data.valid.select(torch.arange(0, len(data.valid), 4)))
    network = partial(build_network, job.block, spec)
    result = train(network, watched, setup.recipe, device=device, seed=job.seed)
    if setup.match is None:
        return {"accuracy": result.accuracy}
    valid, test = (
        evaluate(result.network, split, data.mean, data.std, device=device)
        if split is data.valid or setup.scored == "test"
        else None
        for split in (data.valid, data.test)
    )
    return {
        "accuracy": valid if test is None else test,
        "valid": valid,
        "curve": [epoch.accuracy for epoch in result.epochs],
    }


def resume(output: Path, setup: Setup) -> set[tuple[str, int]]:
    """Names of the trainings that are there; brings the file to the end of a line.

    Raises:
        ValueError: if the file is another setup's.
    """
    if not output.exists() or not output.read_bytes().count(b"\n"):
        output.write_text(json.dumps({"setup": setup.described()}) + "\n", encoding="utf-8")
    header, *lines = read_lines(output)
    if header["setup"] != setup.described():
        raise ValueError(f"{output} was made with {header['setup']}: move it away to begin anew")
    return _names(lines)


def _names(lines: Iterable[dict]) -> set[tuple[str, int]]:
    return {(line["block"], line["seed"]) for line in lines}


def job_name(job: Job) -> tuple[str, int]:
    return job.block.to_json(), job.seed


if __name__ == "__main__":
    main()
