"""The 1,797 handwritten digits of 8x8 pixels that scikit-learn carries: nothing to download."""

from __future__ import annotations

from importlib import metadata

import numpy as np

from nni_blockqnn.data._arrays import Decoded, LabelledImages, Source
from nni_blockqnn.data._cache import cached
from nni_blockqnn.data._splits import separate_test


def load_digits() -> Decoded:
    """Digits as (N, 1, 8, 8) uint8, 0..16 scaled to 0..255; a fixed stratified fifth is the test
    set.

    Cached, not for the decoding, but since importing scikit-learn takes longer than many a trial.
    """
    version = metadata.version("scikit-learn")
    return cached(Source("digits", f"scikit-learn {version}", list, _decode))


def _decode() -> Decoded:
    from sklearn.datasets import load_digits as sklearn_digits

    bunch = sklearn_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.int64)
    train, test = separate_test(labels)
    return Decoded.of(
        LabelledImages(images[train], labels[train]),
        LabelledImages(images[test], labels[test]),
        [str(digit) for digit in range(10)],
    )
