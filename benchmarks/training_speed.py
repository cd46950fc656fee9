"""How fast a trial trains: against a bare loop and a DataLoader script, ratios in one run.

    python benchmarks/training_speed.py [--images 4096] [--epochs 2] [--repetitions 5]
    python benchmarks/training_speed.py --paper --device cuda

All train the same network on the same generated images of 32x32 and look at a tenth as many after
each epoch. The bare loop has its images on the device as normalised floats: the bound. The
repetitions are interleaved, and a ratio is the median of those within a repetition. Peak memory is
taken in a process of its own for each, on the CPU as resident memory beyond that before the
training, without the workers'.
"""

from __future__ import annotations

import argparse
import math
import re
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import psutil
import torch
from torch.profiler import ProfilerActivity, profile
from training_job import Job
from training_scripts import bare_loop, dataloader_script

from nni_blockqnn import Block, NetworkSpec
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.data import ImageData
from nni_blockqnn.training import EARLY_STOP, check_precision, pick_device, train

BLOCK = Block.parse([[1, 4, 0, 0, 0], [2, 1, 3, 1, 0], [3, 1, 1, 1, 0], [4, 5, 0, 2, 3]])
"""Two PCCs that share their input, and their sum."""
PAPER_IMAGES, PAPER_EPOCHS, PAPER_TRIALS = 50_000, 12, 11_392


def ours(job: Job, data: ImageData, precision: str = "fp32") -> None:
    recipe = replace(EARLY_STOP, batch_size=job.batch_size, restarts=0).shortened(job.epochs)
    train(job.network, data, recipe, device=job.device, precision=precision)


def arms(job: Job) -> dict[str, Callable[[Job, ImageData], None]]:
    """By their names in the table; the first one is the bound."""
    found: dict[str, Callable[[Job, ImageData], None]] = {
        "bare loop": bare_loop,
        "ours": ours,
        "DataLoader script": partial(dataloader_script, workers=0),
        "DataLoader script, 2 workers": partial(dataloader_script, workers=2),
        "bare loop without channels_last": partial(bare_loop, channels_last=False),
        "bare loop without fused Adam": partial(bare_loop, fused=False),
        "bare loop, a ReLU for each PCC": partial(bare_loop, shared=False),
    }
    for precision in ("tf32", "bf16"):
        try:
            check_precision(precision, job.device)
        except ValueError:
            continue
        found[f"ours, {precision}"] = partial(ours, precision=precision)
    return found


def seconds(arm: Callable[[Job, ImageData], None], job: Job, data: ImageData) -> float:
    _wait(job.device)
    began = time.perf_counter()
    arm(job, data)
    _wait(job.device)
    return time.perf_counter() - began


def peak_mib(name: str, job: Job) -> float:
    """Of one epoch, in a process of its own; NaN on the CPU of another system than Linux."""
    torch.set_num_threads(job.threads)
    data = job.data()
    before = psutil.Process().memory_info().rss
    arms(job)[name](replace(job, epochs=1), data)
    if job.device.type == "cuda":
        return torch.cuda.max_memory_allocated(job.device) / 2**20
    status = Path("/proc/self/status")
    if not status.exists():
        return math.nan
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())
    return (int(peak) * 1024 - before) / 2**20


def share_in_kernels(job: Job, data: ImageData) -> float:
    """Percent of a training's time that the GPU computes."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        wall = seconds(ours, job, data)
    events = profiled.key_averages()
    name = "self_device_time_total" if hasattr(events[0], "self_device_time_total") else None
    busy = sum(getattr(event, name or "self_cuda_time_total") for event in events)
    return 100 * busy / 1e6 / wall


def compare(job: Job, repetitions: int) -> None:
    """Print the table."""
    data, chosen = job.data(), arms(job)
    for arm in chosen.values():  # caches of kernels, of files and of memory fill
        arm(replace(job, epochs=1), data)
    rounds = [
        {name: seconds(arm, job, data) for name, arm in chosen.items()} for _ in range(repetitions)
    ]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as alone:
        memory = dict(zip(chosen, alone.map(partial(peak_mib, job=job), chosen), strict=True))
    bound = next(iter(chosen))
    print("| | images/s | of the bare loop's speed | range | peak MiB |")
    print("| --- | --- | --- | --- | --- |")
    for name in chosen:
        ratios = [taken[bound] / taken[name] for taken in rounds]
        rate = job.images * job.epochs / statistics.median(taken[name] for taken in rounds)
        print(
            f"| {name} | {rate:,.0f} | {statistics.median(ratios):.2f} "
            f"| {min(ratios):.2f} to {max(ratios):.2f} | {memory[name]:,.0f} |"
        )
    for name in ("DataLoader script", "DataLoader script, 2 workers"):
        speedup = statistics.median(taken[name] / taken["ours"] for taken in rounds)
        print(f"\nours against {name}: {speedup:.2f}")
    if job.device.type == "cuda":
        print(f"\nours, time in kernels: {share_in_kernels(job, data):.0f} %")


def paper(job: Job, repetitions: int) -> None:
    """Print the speeds of Fig. 2's blocks in the paper's network for CIFAR-10."""
    print(
        "| block | precision | images/s | s for 50,000 images, 12 epochs | device days for 11,392 |"
    )
    print("| --- | --- | --- | --- | --- |")
    for name, block in NAMED_BLOCKS.items():
        large = replace(job, block=block, spec=NetworkSpec("cifar10"))
        data = large.data()
        for arm_name, arm in arms(large).items():
            if not arm_name.startswith("ours"):
                continue
            arm(replace(large, epochs=1), data)
            taken = statistics.median(seconds(arm, large, data) for _ in range(repetitions))
            rate = large.images * large.epochs / taken
            trial = PAPER_IMAGES * PAPER_EPOCHS / rate
            days = trial * PAPER_TRIALS / 86_400
            precision = arm_name.partition(", ")[2] or "fp32"
            print(f"| {name} | {precision} | {rate:,.0f} | {trial:,.0f} | {days:,.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--filters", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--paper", action="store_true", help="Fig. 2's blocks, N = 4, instead")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    job = Job(
        BLOCK,
        NetworkSpec(
            input_shape=(3, 32, 32), classes=10, filters=tuple(arguments.filters), repeats=1
        ),
        arguments.images,
        arguments.epochs,
        arguments.batch_size,
        pick_device(arguments.device),
        arguments.threads,
    )
    where = torch.cuda.get_device_name(job.device) if job.device.type == "cuda" else "CPU"
    print(f"{where}, {job.threads} threads, PyTorch {torch.__version__}\n")
    (paper if arguments.paper else compare)(job, arguments.repetitions)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
