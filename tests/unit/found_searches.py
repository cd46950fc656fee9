"""A search of digits: its request, configuration and answer, and experiments of its stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from made_experiments import final, make_experiment

from nni_blockqnn.automl._folder import SearchFolder
from nni_blockqnn.automl.answer import Answer, Row
from nni_blockqnn.automl.request import Request
from nni_blockqnn.blocks.named import NAMED_BLOCKS
from nni_blockqnn.results.experiment import find_experiment, read_results

REQUEST = Request("digits", 0.5)
CONFIG: dict[str, Any] = {
    "experimentName": 'BlockQNN on "digits"',
    "searchSpace": {
        "block": {"_type": "nsc", "_value": {"max_layers": 10}},
        "repeats": {"_type": "choice", "_value": [1]},
        "network": {"_type": "choice", "_value": ['{"preset": "digits", "filters": [12, 24]}']},
    },
    "trialCommand": "python -m nni_blockqnn.trial --dataset digits --data-dir '/my data' "
    "--recipe early-stop --epochs 8 --batch-size 64 --seed 3 --limit 1000 --mu 0 --rho 0 "
    "--device cpu --threads 1",
    "trialConcurrency": 2,
    "maxTrialNumber": 40,
    "tuner": {
        "className": "nni_blockqnn.tuner.BlockQNNTuner",
        "classArgs": {"match": {"flops": 340_000}},
    },
}
FOUND = "[[1,1,3,0,0],[2,1,3,1,0],[3,1,1,2,0],[4,7,0,0,0]]"
OTHER = "[[1,1,5,0,0],[2,1,3,1,0],[3,7,0,0,0]]"
ROW = Row("winner", FOUND, 97.0, 96.0, 93.4, 97.6, 95.9, 340_000, 4_000, 11)
ANSWER = Answer(
    data="digits",
    rows=(ROW, replace(ROW, name="residual", accuracy=95.0, low=92.2, high=96.8)),
    tested=359,
    epochs=30,
    trials=40,
    seconds=1_000.0,
    experiments={"search": "abcd1234", "finalists": "efgh5678"},
)


def metric(episode: int, block: str, accuracy: float, flops: int = 340_000) -> dict[str, Any]:
    """Of a trial at equal cost, as the search's reports it."""
    return final(
        flops=flops,
        default=accuracy,
        accuracy=accuracy,
        episode=episode,
        block=block,
        repeats=1,
        width=12,
        epoch_seconds=2.0,
    )


def experiment(folder: SearchFolder, name: str, config: dict[str, Any], *metrics: Any) -> str:
    """One of this home's, which the folder keeps as a stage's."""
    home = Path.home() / "nni-experiments"
    make_experiment(
        home, name, finals=[(f"trial{n}", one) for n, one in enumerate(metrics)], config=config
    )
    return name


def searched(folder: SearchFolder) -> Any:
    hand_made = [block.to_json() for block in NAMED_BLOCKS.values()]
    blocks = zip((hand_made[0], hand_made[1], FOUND, OTHER), (93.0, 94.0, 96.0, 91.0), strict=True)
    metrics = [metric(number, *one) for number, one in enumerate(blocks)]
    experiment(folder, "abcd1234", CONFIG, *metrics)
    return read_results(find_experiment("abcd1234"))
