"""Image data sets, decoded once and memory-mapped by every later process."""

from nni_blockqnn.data.errors import DataError
from nni_blockqnn.data.load import DATASETS, load_dataset
from nni_blockqnn.data.types import ImageData, Split

__all__ = ["DATASETS", "DataError", "ImageData", "Split", "load_dataset"]
