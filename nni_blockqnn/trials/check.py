"""Whether a trial's command would work: its arguments, its data, its network, its device.

``python -m nni_blockqnn.trials.check`` takes a trial's arguments; the data is read, and so it is
downloaded and cached before a thousand trials want it.
"""

from __future__ import annotations

import sys

from nni_blockqnn.data import DataError
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.training import check_precision, pick_device
from nni_blockqnn.trials.arguments import load_data, trial_parser


def main(argv: list[str] | None = None) -> int:
    arguments = trial_parser(under_nni=True).parse_args(argv)
    try:
        spec = NetworkSpec.from_parameter(arguments.network)
        device = pick_device(arguments.device)
        check_precision(arguments.precision, device)
        data = load_data(arguments, spec)
    except (DataError, ValueError) as error:
        print(error)
        return 1
    print(
        f"{arguments.dataset}: {len(data.train)} training, {len(data.valid)} validation and "
        f"{len(data.test)} test images of {data.classes} classes; they suit the network; {device}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
