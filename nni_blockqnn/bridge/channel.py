"""A trial's two ends to NNI: the parameters it was given and the metrics it reports.

NNI gives a trial the next queued parameters, which need not be those that it recorded for this
trial (docs/nni.md). So :func:`take_parameters` takes what it is given and then asks NNI's manager
for what is recorded. Where the manager cannot be reached, as from a remote machine, the trial keeps
what it was given; its metrics say which block and episode that was.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from typing import Any

from nni_blockqnn.bridge._proxies import keep_loopback_direct
from nni_blockqnn.bridge.nni_import import import_nni

ATTEMPTS = 5
"""NNI usually has the record 2 to 44 ms after the trial's start."""


def runs_under_nni() -> bool:
    return "NNI_PLATFORM" in os.environ


def take_parameters() -> dict[str, Any]:
    """The parameters that NNI's records show for this trial.

    Call it once, before anything that can fail or take time. NNI counts requests, so a trial that
    ends before its request shifts the parameters of every later one.
    """
    keep_loopback_direct()
    nni = import_nni()  # not at the top: a trial outside NNI does not wait for it
    given = nni.get_next_parameter()
    record = _recorded(os.environ.get("NNI_TRIAL_COMMAND_CHANNEL", ""))
    if record is None:
        return given
    nni.trial._params = record  # its id is the one that the metrics carry
    return record["parameters"]


def trials_at_once() -> int:
    """How many trials of this experiment NNI runs on this machine at a time; 1 if that is not
    known, as of remote ones."""
    if os.environ.get("NNI_PLATFORM") != "local":
        return 1
    try:
        profile = _asked(os.environ.get("NNI_TRIAL_COMMAND_CHANNEL", ""), "experiment")
        return max(int(profile["params"]["trialConcurrency"]), 1)
    except (OSError, KeyError, TypeError, ValueError):
        return 1


def report_intermediate(metric: dict[str, Any], number: int | None = None) -> None:
    """
    Args:
        number: of the report among the trial's, from 0. NNI's web UI puts the value there, and
            draws no curve with a gap. By default each follows the one before, and a process that
            goes on with a trial begins with 0 again.
    """
    nni = import_nni()
    if number is not None:
        nni.trial.overwrite_intermediate_seq(number)
    nni.report_intermediate_result(metric)


def report_final(metric: dict[str, Any]) -> None:
    import_nni().report_final_result(metric)


def _recorded(command_channel: str) -> dict[str, Any] | None:
    if "/env/" not in command_channel:
        return None
    path = f"trial-jobs/{os.environ['NNI_TRIAL_JOB_ID']}"
    for attempt in range(ATTEMPTS):
        time.sleep(0.05 * attempt)
        try:
            return json.loads(_asked(command_channel, path)["hyperParameters"][-1])
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:  # no way to the manager from here
            return None
        except (KeyError, IndexError, TypeError, ValueError):  # not recorded yet
            continue
    return None


def _asked(command_channel: str, path: str) -> Any:
    """The answer of NNI's manager; raises OSError or ValueError if there is none."""
    manager, _, _ = command_channel.partition("/env/")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"{manager}/api/v1/nni/{path}", timeout=2) as response:
        return json.load(response)
