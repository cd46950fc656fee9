"""Our ordinary trial for tuners of ordinary choices: puts the block together and trains it.

Takes the arguments of ``python -m nni_blockqnn.trial``.
"""

from __future__ import annotations

import json
from pathlib import Path

from nni_blockqnn.bridge import channel

choices = channel.take_parameters()  # first of all: it says why

import nni  # noqa: E402

from nni_blockqnn import SearchSpace  # noqa: E402
from nni_blockqnn.exchange.parameters import read_task  # noqa: E402
from nni_blockqnn.space.choices import block_of  # noqa: E402
from nni_blockqnn.trials.arguments import trial_arguments, trial_parser  # noqa: E402
from nni_blockqnn.trials.run import train_and_measure  # noqa: E402

space = SearchSpace.from_json(json.loads(Path(__file__).with_name("space.json").read_text()))
parameters = {
    "block": block_of(choices, space).to_json(),
    "repeats": space.repeats[0],
    "network": space.network,
    "episode": nni.get_sequence_id(),
}
# What fails exits without a metric: NNI's Evolution breaks if a failed trial has reported one.
arguments = trial_arguments(trial_parser(under_nni=True).parse_args())
metric = train_and_measure(read_task(parameters), arguments)
channel.report_final(metric)
