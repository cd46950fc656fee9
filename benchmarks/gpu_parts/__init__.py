"""The parts of `on_gpu.py`."""

from __future__ import annotations

from functools import partial

from gpu_parts import throughput, trials, whole
from gpu_parts.part import Part

_ALL = (
    Part("suite", "Tests that need a GPU", whole.suite),
    Part("figure_2", "Images a second: Fig. 2's blocks, N = 4, 32x32", throughput.figure_2),
    Part(
        "random_even",
        "Images a second: random blocks of 22 layers, N = 4, even numbers",
        partial(throughput.random_ones, half=0),
    ),
    Part("random_odd", "Likewise, odd numbers", partial(throughput.random_ones, half=1)),
    Part("scripts", "The residual block against other scripts", throughput.against_scripts),
    Part("sharing", "Several trials on one GPU, residual block", trials.sharing),
    Part("paper_trial", "A trial of the paper: 50,000 images, 12 epochs", trials.paper_trial),
    Part("memory", "Too little memory", trials.memory),
    Part("order_even", "Accuracies by precision", partial(whole.order, half=0)),
    Part("order_odd", "Likewise", partial(whole.order, half=1)),
    Part("search", "A search under NNI", whole.search),
    Part("streaming", "Streamed JPEGs at 224x224", whole.streaming),
)
PARTS = {part.name: part for part in _ALL}
