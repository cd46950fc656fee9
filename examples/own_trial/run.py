"""The same as config.yml with NNI's Python API: ``python examples/own_trial/run.py``."""

from __future__ import annotations

import argparse
from pathlib import Path

from nni.experiment import Experiment
from nni.experiment.config import AlgorithmConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="of the web UI")
    parser.add_argument("--trials", type=int, default=20)
    arguments = parser.parse_args()

    experiment = Experiment("local")
    config = experiment.config
    config.experiment_name = "BlockQNN from Python"
    config.search_space = {
        "block": {"_type": "nsc", "_value": {"max_layers": 6, "conv_kernels": [1, 3]}},
        "repeats": {"_type": "choice", "_value": [1]},
        "network": {"_type": "choice", "_value": ["digits"]},
    }
    config.trial_command = "python trial.py"
    config.trial_code_directory = Path(__file__).parent
    config.trial_concurrency = 2
    config.max_trial_number = arguments.trials
    config.tuner = AlgorithmConfig(name="BlockQNN", class_args={"budget": arguments.trials})
    experiment.run(arguments.port)


if __name__ == "__main__":
    main()
