"""Image data sets: decoded once and memory-mapped by every later process, or streamed."""

from nni_blockqnn.data.errors import DataError
from nni_blockqnn.data.load import DATASETS, load_dataset
from nni_blockqnn.data.own import ImageArrays
from nni_blockqnn.data.streamed import StreamedSplit
from nni_blockqnn.data.types import AnySplit, ImageData, Split

__all__ = [
    "DATASETS",
    "AnySplit",
    "DataError",
    "ImageArrays",
    "ImageData",
    "Split",
    "StreamedSplit",
    "load_dataset",
]
