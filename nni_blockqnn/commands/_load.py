"""Checks of how much a local search asks of this machine at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nni_blockqnn.commands._config_file import Finding, trial_service
from nni_blockqnn.common.cores import usable_cores
from nni_blockqnn.exchange.trial_check import Answer

_TRIALS_A_GPU = 8
"""More than this many trainings on a GPU gain nothing, and each holds memory of its own."""


def check_load(config: Any, answer: Answer) -> Iterator[Finding]:
    """Warnings of trials that would wait for each other's cores.

    Args:
        config: NNI's ExperimentConfig, of a local search.
        answer: of its trial.
    """
    trials = config.trial_concurrency
    if trial_service(config).trial_gpu_number:  # NNI starts as many as there are GPUs for
        return
    cores = available_cores()
    if answer.device != "cpu":
        if trials > _TRIALS_A_GPU:
            yield Finding(
                "warning",
                "trialConcurrency",
                f"{trials} trials would share one GPU and {cores} cores; 2 or 3 use a GPU well: "
                "trialConcurrency: 2",
            )
    elif trials > cores:
        threads = "" if answer.threads == 1 else ", and add to trialCommand: --threads 1"
        yield Finding(
            "warning",
            "trialConcurrency",
            f"{trials} trials at a time, but this machine has {cores} "
            f"{'core' if cores == 1 else 'cores'}, and each trial is a process of some 500 MB: "
            f"write trialConcurrency: {cores}{threads}",
        )
    elif trials > 1 and trials * answer.threads > cores:
        yield Finding(
            "warning",
            "trial",
            f"{trials} trials of {answer.threads} threads compete for {cores} cores; add to "
            f"trialCommand: --threads {max(1, cores // trials)}",
        )


def available_cores() -> int:
    """Those that this process may use, as in a container."""
    return usable_cores()
