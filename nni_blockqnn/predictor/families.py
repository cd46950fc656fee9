"""Good blocks of different kinds, where the best of a search are mostly variants of one.

How far early accuracies lie below final ones differs from family to family by points, and within
one by little (docs/search_quality.md). So long trainings tell most where families differ.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nni_blockqnn.predictor.predictor import Network, Predictor

MOST_ALIKE = 0.7
"""Similarity, from which on two networks count as one family."""
CONSIDERED = 8
"""Times as many networks as are wanted: worse ones are not taken for being different."""


def varied(networks: Sequence[Network], count: int, predictor: Predictor) -> list[int]:
    """Positions of the first network of each family; where these are too few, of the others too.

    Args:
        networks: the best first; those of the first ``CONSIDERED * count`` are chosen from.
        predictor: says how alike networks are. Without that, the first are taken.
    """
    considered = networks[: CONSIDERED * count]
    similarity = predictor.similarity(considered) if considered else None
    chosen: list[int] = []
    if similarity is not None:
        for at in range(len(considered)):
            if np.all(similarity[at, chosen] < MOST_ALIKE):
                chosen.append(at)
    others = [at for at in range(len(considered)) if at not in chosen]
    return [*chosen, *others][:count]
