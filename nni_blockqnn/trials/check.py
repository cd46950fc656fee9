"""Whether a trial's command would work: arguments, recipe, reward, data, network, device.

``python -m nni_blockqnn.trials.check`` takes a trial's arguments; the data is read, and so it is
downloaded and cached before many trials want it at once.
"""

from __future__ import annotations

import sys

from nni_blockqnn.data import DataError
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.training import check_precision, pick_device
from nni_blockqnn.trials._reward import find_reward
from nni_blockqnn.trials.arguments import trial_arguments, trial_parser


def main(argv: list[str] | None = None) -> int:
    namespace = trial_parser(under_nni=True).parse_args(argv)
    try:
        arguments = trial_arguments(namespace)
        training = arguments.training
        training.chosen_recipe()
        find_reward(arguments)
        spec = NetworkSpec.from_parameter(namespace.network)
        device = pick_device(training.device)
        check_precision(training.precision, device)
        data = training.load_data(spec)
    except (DataError, ValueError) as error:
        print(error)
        return 1
    print(
        f"{training.dataset}: {len(data.train)} training, {len(data.valid)} validation and "
        f"{len(data.test)} test images of {data.classes} classes; they suit the network; {device}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
