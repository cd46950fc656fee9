"""Object key point similarity and its average precision, as COCO's evaluation counts them.

The numbers are pycocotools' (``COCOeval`` with ``iouType="keypoints"``, all areas), which tests
hold; it is not imported, since it needs annotations in files and prints what it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)
_MOST_ANSWERS = 20
"""In an image, those with the highest scores."""
_EPSILON = np.spacing(1)


def similarity(
    answers: np.ndarray, points: np.ndarray, areas: np.ndarray, sigmas: Sequence[float]
) -> np.ndarray:
    """The OKS of each answer with each person, (A, P).

    Args:
        answers: (A, K, 2), in pixels.
        points: (P, K, 3), with the visibility; each person has a labelled one.
        areas: (P,), in pixels.
    """
    variances = (2 * np.asarray(sigmas)) ** 2
    distances = ((answers[:, None] - points[None, :, :, :2]) ** 2).sum(axis=3)
    errors = distances / variances / (areas[None, :, None] + _EPSILON) / 2
    labelled = (points[:, :, 2] > 0)[None]
    return (np.exp(-errors) * labelled).sum(axis=2) / labelled.sum(axis=2)


def average_precisions(
    answers: np.ndarray,
    scores: np.ndarray,
    points: np.ndarray,
    areas: np.ndarray,
    images: np.ndarray,
    sigmas: Sequence[float],
) -> np.ndarray:
    """The average precision at each of `THRESHOLDS`, from 0 to 1; their mean is COCO's AP.

    Args:
        answers: (N, K, 2), of as many people as there are.
        scores: (N,), which answers come first.
        points: (N, K, 3).
        areas: (N,).
        images: (N,) numbers of the images that the people are in. Within an image, any answer may
            be matched to any person.
    """
    if not len(points):
        return np.zeros(len(THRESHOLDS))
    hits, ranked = [], []
    order = np.argsort(images, kind="stable")
    for _, group in groupby(order, key=lambda row: images[row]):
        rows = np.array(list(group))
        best = rows[np.argsort(-scores[rows], kind="stable")][:_MOST_ANSWERS]
        hits.append(_matched(similarity(answers[best], points[rows], areas[rows], sigmas)))
        ranked.append(scores[best])
    found = np.concatenate(hits, axis=1)
    by_score = np.argsort(-np.concatenate(ranked), kind="stable")
    return np.array([_average_precision(one[by_score], len(points)) for one in found])


def _matched(similarities: np.ndarray) -> np.ndarray:
    """For each threshold whether each answer is matched to a person, (T, A); the first come first
    served, each with the best that is left."""
    found = np.zeros((len(THRESHOLDS), len(similarities)), bool)
    for at, threshold in enumerate(THRESHOLDS):
        left = np.ones(similarities.shape[1], bool)
        for answer, row in enumerate(similarities):
            # of several that are equal, the last one, as pycocotools takes it
            best = len(row) - 1 - int(np.argmax(np.where(left, row, -1)[::-1]))
            if left[best] and row[best] >= min(threshold, 1 - 1e-10):
                found[at, answer], left[best] = True, False
    return found


def _average_precision(hits: np.ndarray, people: int) -> float:
    """Over 101 recalls, with the precision made to fall.

    Args:
        hits: (A,) bool, by falling score.
    """
    right = np.cumsum(hits)
    recall = right / people
    precision = right / (np.arange(1, len(hits) + 1) + _EPSILON)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, _RECALLS, side="left")
    return float(np.where(places < len(hits), falling[np.minimum(places, len(hits) - 1)], 0).mean())
