"""The average precisions of key points are those that pycocotools gives."""

from __future__ import annotations

import numpy as np
import pytest
from components import require_module

from nni_blockqnn.data.key_points import COCO_SIGMAS
from nni_blockqnn.tasks._oks import average_precisions


def some_people(seed: int) -> dict[str, np.ndarray]:
    """People in images of one to four, with answers from near to far."""
    rng = np.random.default_rng(seed)
    count = 40
    points = np.concatenate(
        [rng.uniform(0, 200, (count, 17, 2)), rng.integers(0, 3, (count, 17, 1))], axis=2
    )
    points[:, 0, 2] = 2
    near = rng.choice([1.0, 4.0, 10.0, 40.0], (count, 1, 1))
    images = np.sort(rng.integers(0, 18, count))
    answers = points[:, :, :2] + rng.normal(0, 1, (count, 17, 2)) * near
    # some answers are another person's of the same image
    swapped = np.flatnonzero(images[:-1] == images[1:])[::3]
    answers[swapped] = answers[swapped + 1]
    return {
        "answers": answers,
        "scores": rng.uniform(0, 1, count).round(2),
        "points": points,
        "areas": rng.uniform(500, 9000, count),
        "images": images,
    }


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        (
            0,
            [
                0.286832,
                0.261183,
                0.230325,
                0.211384,
                0.17738,
                0.17738,
                0.149481,
                0.149481,
                0.081848,
                0.026953,
            ],
        ),
        (
            1,
            [
                0.384063,
                0.355988,
                0.243635,
                0.221004,
                0.196535,
                0.177369,
                0.14102,
                0.087944,
                0.074354,
                0.048387,
            ],
        ),
    ],
)
def test_the_average_precisions_are_those_that_pycocotools_gave(
    seed: int, expected: list[float]
) -> None:
    """pycocotools 2.0: the numbers that the next test compared."""
    found = average_precisions(**some_people(seed), sigmas=COCO_SIGMAS)
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_average_precisions_are_pycocotools(seed: int) -> None:
    coco = require_module("pycocotools.coco")
    cocoeval = require_module("pycocotools.cocoeval")
    people = some_people(seed)
    truth, results = coco.COCO(), []
    truth.dataset = {
        "images": [{"id": int(image)} for image in np.unique(people["images"])],
        "categories": [{"id": 1}],
        "annotations": [],
    }
    for number, points in enumerate(people["points"]):
        image = int(people["images"][number])
        annotation = {
            "id": number + 1,
            "image_id": image,
            "category_id": 1,
            "iscrowd": 0,
            "keypoints": points.ravel().tolist(),
            "num_keypoints": int((points[:, 2] > 0).sum()),
            "area": float(people["areas"][number]),
            "bbox": [0, 0, 200, 200],
        }
        truth.dataset["annotations"].append(annotation)
        answer = np.concatenate([people["answers"][number], np.ones((17, 1))], axis=1)
        results.append(
            {
                "image_id": image,
                "category_id": 1,
                "keypoints": answer.ravel().tolist(),
                "score": float(people["scores"][number]),
            }
        )
    truth.createIndex()
    evaluation = cocoeval.COCOeval(truth, truth.loadRes(results), "keypoints")
    evaluation.evaluate()
    evaluation.accumulate()
    expected = evaluation.eval["precision"][:, :, 0, 0, 0].mean(axis=1)
    found = average_precisions(**people, sigmas=COCO_SIGMAS)
    np.testing.assert_allclose(found, expected, atol=1e-9)
