"""``python -m nni_blockqnn``, the command ``blockqnn``: for torchrun, which starts modules."""

import sys

from nni_blockqnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
