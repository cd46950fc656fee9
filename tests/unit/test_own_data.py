"""Data sets of one's own, named as module:function: the example, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from nni_blockqnn.data import DataError, ImageArrays, load_dataset

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_data"
IMAGES, LABELS = np.zeros((6, 4, 5), np.uint8), np.arange(6) % 2


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], str]:
    """Names a function that returns, or raises, what it is given."""

    def name(outcome: Any) -> str:
        module = ModuleType("own_module")

        def images(data_dir: Path) -> Any:
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        module.images = images  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "own_module", module)
        return "own_module:images"

    return name


def _arrays(**changed: Any) -> ImageArrays:
    return ImageArrays(IMAGES, LABELS, IMAGES[:4], LABELS[:4])._replace(**changed)


def test_the_example_is_short_and_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len((EXAMPLE / "rotated.py").read_text().splitlines()) < 60
    monkeypatch.chdir(EXAMPLE)
    data = load_dataset("rotated:turned_digits", None, image_shape=(1, 8, 8), classes=4, limit=400)
    assert (len(data.train) + len(data.valid), len(data.test)) == (400, 360)
    assert data.class_names == ("upright", "left", "upside down", "right")
    images, labels = data.test.batch(data.test.labels[:0].new_tensor([0, 1]))
    assert images.shape == (2, 1, 8, 8)
    assert set(data.test.labels.tolist()) == {0, 1, 2, 3}
    assert len(labels) == 2


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_come_first_in_the_network(own: Callable[[Any], str], channels: int) -> None:
    images = np.arange(6 * 4 * 5 * channels).reshape(6, 4, 5, channels).astype(np.uint8)
    named = own(_arrays(train_images=images, test_images=images[:4]))
    data = load_dataset(named, Path("/nowhere"), validation="test")
    assert data.image_shape == (channels, 4, 5)
    first, _ = data.train.batch(data.train.labels[:0].new_tensor([2]))
    assert np.array_equal(first[0].numpy(), images[2].transpose(2, 0, 1))
    assert data.class_names == ("0", "1")


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ((IMAGES, LABELS), "own_module:images must return nni_blockqnn.data.ImageArrays, got"),
        (ZeroDivisionError("by nothing"), "own_module:images failed: ZeroDivisionError: by noth"),
        (
            _arrays(train_images=IMAGES.astype(np.float32)),
            r"train_images must be uint8 of shape .* got float32 \(6, 4, 5\)",
        ),
        (_arrays(test_images=IMAGES[0]), r"test_images must be uint8 .* got uint8 \(4, 5\)"),
        (
            _arrays(train_images=np.zeros((6, 3, 8, 8), np.uint8)),
            r"or \(N, H, W, 3\), got uint8 \(6, 3, 8, 8\)",
        ),
        (_arrays(train_images=IMAGES[:0], train_labels=LABELS[:0]), "got uint8 .0, 4, 5."),
        (_arrays(train_labels=LABELS[:5]), r"train_labels must be 6 integers .* int64 \(5,\)"),
        (_arrays(test_labels=LABELS[:4] - 1), "test_labels must be 4 integers from 0, one an im"),
        (_arrays(train_labels=LABELS + 0.0), "train_labels must be 6 integers .* got float64"),
        (_arrays(test_images=IMAGES[:4, :3]), r"one \(C, H, W\), got \(1, 4, 5\) and \(1, 3, 5"),
        (_arrays(class_names=["a"]), "1 class_names for labels up to 1"),
    ],
)
def test_what_a_function_returns_is_checked(
    own: Callable[[Any], str], outcome: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(own(outcome), Path("/nowhere"))


def test_what_cannot_be_loaded_and_what_does_not_suit_the_network(
    own: Callable[[Any], str],
) -> None:
    with pytest.raises(DataError, match="cannot load a data set from 'gone:images': there is no"):
        load_dataset("gone:images", None)
    with pytest.raises(DataError, match="imagenet or module:function, got 'digit'"):
        load_dataset("digit", None)
    with pytest.raises(DataError, match="classes=10 but the data own_module:images has 2"):
        load_dataset(own(_arrays()), None, classes=10)
