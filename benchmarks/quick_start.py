"""A quick start through NNI, to be measured: ``resident.py`` and ``turnover.py``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from nni_blockqnn.bridge import launch
from nni_blockqnn.commands._templates import template


def configuration(trials: int, concurrency: int, seed: int = 0) -> dict[str, Any]:
    """NNI's, as of the template."""
    config = yaml.safe_load(template("blockqnn_quickstart.yml").read_text(encoding="utf-8"))
    config |= {"trialConcurrency": concurrency, "maxTrialNumber": trials}
    config["tuner"]["classArgs"] |= {"budget": trials, "seed": seed}
    return config


@contextmanager
def finished(config: dict[str, Any], folder: Path) -> Iterator[launch.Launched]:
    """Run a search to its end; its manager runs on inside of the context.

    Args:
        folder: for the configuration's file.

    Raises:
        RuntimeError: if the search does not get to its end.
    """
    path = folder / "search.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    launched = launch.start(path, None, loopback=True)
    try:
        while (state := launch.status(launched)) not in ("DONE", "ERROR", "GONE"):
            time.sleep(1)
        if state != "DONE":
            raise RuntimeError(f"the search ended with {state}")
        yield launched
    finally:
        launch.stop(launched.id)
