"""The search that several tests look at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from nni_shell import Nni, Running

SEARCH_TRIALS = 6


@dataclass(frozen=True)
class Search:
    """A search that is done; its manager still runs."""

    nni: Nni
    running: Running

    def finals(self) -> dict[str, dict[str, Any]]:
        """The final metric of each trial that succeeded."""
        return {
            job["trialJobId"]: json.loads(json.loads(job["finalMetricData"][0]["data"]))
            for job in self.running.trials("SUCCEEDED")
        }
