"""What a trial costs: the paper's whole one, several on one GPU, and one that lacks memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

import torch

from gpu_parts.part import Case, Row, Setting
from gpu_parts.throughput import FEW_MODES, Enough, Mode, fit, job, modes, random_blocks
from nni_blockqnn import Block
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.training import EARLY_STOP, EpochResult, train

PAPER_IMAGES, PAPER_EPOCHS, PAPER_TRIALS = 50_000, 12, 11_392
TOGETHER = (1, 2, 4, 8)
SHARING_SECONDS = 15.0
PATIENCE_SECONDS = 120.0
KEPT_OF_PEAK = 0.6
"""The share of a batch's memory that is left, so that half a batch fits."""


def paper_trial(setting: Setting) -> Iterator[Case]:
    """Fig. 2's blocks and three random ones; one epoch is timed after another one."""
    blocks = dict(NAMED_BLOCKS)
    for number, block in enumerate(random_blocks(setting)[: setting.of(3, 1)]):
        blocks[f"random block {number}"] = block
    for name, block in blocks.items():
        for mode in modes(FEW_MODES, setting.device):
            yield Case(f"{name}, {mode}", partial(_paper_seconds, block, mode, setting))


def _paper_seconds(block: Block, mode: Mode, setting: Setting) -> Row:
    held_out = setting.of(PAPER_IMAGES, 44) // 11  # Job adds a tenth for validation
    made = job(block, setting, 10 * held_out)
    seconds: list[float] = []

    def count(epoch: EpochResult) -> None:
        seconds.append(epoch.seconds)
        if len(seconds) == 2:
            raise Enough

    fit(made, made.data(), mode, count)
    trial = PAPER_EPOCHS * seconds[1]
    hours = round(trial * PAPER_TRIALS / 3600, 1)
    return {"s a trial": round(trial, 2), "GPU-hours for 11,392": hours}


def sharing(setting: Setting) -> Iterator[Case]:
    """Several processes that train at once, with NVIDIA's MPS and without."""
    for with_mps in setting.of((False, True), (False,)):
        for count in setting.of(TOGETHER, (1, 2)):
            name = f"{count} trials{', MPS' if with_mps else ''}"
            yield Case(name, partial(_together, count, with_mps, setting))


def _together(count: int, with_mps: bool, setting: Setting) -> Row:
    context = get_context("spawn")
    counted: Queue[float] = context.Queue()
    barrier = context.Barrier(count, timeout=PATIENCE_SECONDS)
    with _mps() if with_mps else nullcontext():
        arguments = (setting, counted, barrier)
        started = [context.Process(target=_one_of, args=arguments) for _ in range(count)]
        for process in started:
            process.start()
        try:
            rates = [counted.get(timeout=PATIENCE_SECONDS + SHARING_SECONDS) for _ in started]
        finally:
            for process in started:
                process.join(10)
                process.kill()
    return {"images/s together": round(sum(rates), 1), "of a trial": round(sum(rates) / count, 1)}


def _one_of(setting: Setting, counted: Queue[float], barrier: Barrier) -> None:
    torch.set_num_threads(1)
    made = job(NAMED_BLOCKS["residual"], setting, setting.of(4096, 32))
    seconds: list[float] = []

    def count(epoch: EpochResult) -> None:
        if epoch.epoch == 1:
            barrier.wait()  # all have their memory, and their kernels are chosen
        else:
            seconds.append(epoch.seconds)
        if sum(seconds) >= setting.of(SHARING_SECONDS, 0.0) and seconds:
            raise Enough

    (mode,) = modes((FEW_MODES[-2],), setting.device) or [Mode("fp32")]
    fit(made, made.data(), mode, count)
    counted.put(made.images * len(seconds) / sum(seconds))


@contextmanager
def _mps() -> Iterator[None]:
    """NVIDIA's Multi-Process Service of this user, for the processes that are started within."""
    control = shutil.which("nvidia-cuda-mps-control")
    if control is None:
        raise RuntimeError("there is no nvidia-cuda-mps-control")
    with tempfile.TemporaryDirectory() as folder:
        names = ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")
        os.environ |= dict.fromkeys(names, folder)
        subprocess.run([control, "-d"], check=True, timeout=60)
        time.sleep(2)  # it comes up in the background
        try:
            yield
        finally:
            subprocess.run([control], input="quit\n", text=True, timeout=60, check=False)
            for name in names:
                del os.environ[name]


def memory(setting: Setting) -> Iterator[Case]:
    """A training that has more than half of the memory that it asks for."""
    yield Case("a batch does not fit", partial(_without_memory, setting))


def _without_memory(setting: Setting) -> Row:
    made = job(NAMED_BLOCKS["inception"], setting, setting.of(2048, 32))
    recipe = replace(EARLY_STOP, batch_size=made.batch_size, restarts=0).shortened(1)
    if setting.device.type != "cuda":
        return {"skipped": "only a GPU says that it has no more"}
    ample = train(made.network, made.data(), recipe, device=made.device)
    peak = torch.cuda.max_memory_allocated(made.device)
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(made.device)
    bytes_taken = max(free - int(KEPT_OF_PEAK * peak), 0)
    ballast = torch.empty(bytes_taken, dtype=torch.uint8, device=made.device)
    scarce = train(made.network, made.data(), recipe, device=made.device)
    del ballast
    return {
        "peak MiB": round(peak / 2**20),
        "micro-batch": f"{ample.micro_batch}, then {scarce.micro_batch}",
        "s": f"{ample.seconds:.2f}, then {scarce.seconds:.2f}",
    }
