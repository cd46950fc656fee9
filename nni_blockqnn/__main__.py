"""``python -m nni_blockqnn``, the command ``blockqnn``: for torchrun, which starts modules."""

from nni_blockqnn.cli import main
from nni_blockqnn.common.torchrun import end_with

if __name__ == "__main__":
    end_with(main)
