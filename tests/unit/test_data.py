"""What `load_dataset` makes of digits and of Fashion-MNIST's files, and how images are split."""

from __future__ import annotations

import gzip
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from nni_blockqnn.data import DATASETS, DataError, load_dataset
from nni_blockqnn.data._splits import stratified_counts, stratified_sample


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNI_BLOCKQNN_CACHE", str(tmp_path / "cache"))


def counts(labels: torch.Tensor) -> dict[int, int]:
    return dict(Counter(labels.tolist()))


# --- splits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("available", "total", "leave", "expected"),
    [
        ([50, 30, 20], 10, 0, [5, 3, 2]),
        ([5, 5, 5], 4, 0, [2, 1, 1]),  # shares of 4/3: the first gets the remainder
        ([97, 2, 1], 10, 0, [8, 1, 1]),  # shares 9.7, 0.2, 0.1: one each, taken from the largest
        ([0, 6, 4], 5, 0, [0, 3, 2]),  # a class that does not occur
        ([4, 2], 4, 1, [3, 1]),  # all but one of each
        ([4, 2], 6, 0, [4, 2]),
    ],
)
def test_stratified_counts(
    available: list[int], total: int, leave: int, expected: list[int]
) -> None:
    assert stratified_counts(np.array(available), total, leave).tolist() == expected


@pytest.mark.parametrize(
    ("available", "total", "leave"), [([3, 1], 2, 1), ([3, 3], 1, 0), ([3, 3], 7, 0)]
)
def test_impossible_counts_are_refused(available: list[int], total: int, leave: int) -> None:
    with pytest.raises(ValueError, match="cannot draw"):
        stratified_counts(np.array(available), total, leave)


def test_a_sample_is_sorted_without_repeats_and_follows_the_generator() -> None:
    labels = np.array([0, 1] * 50)
    first, again, other = (
        stratified_sample(labels, 10, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first.tolist() == sorted(set(first.tolist()))
    assert labels[first].sum() == 5
    assert first.tolist() == again.tolist() != other.tolist()


# --- digits -----------------------------------------------------------------------------------


def test_digits_are_split_in_three_without_a_common_image() -> None:
    data = load_dataset("digits", None)
    assert (len(data.train), len(data.valid), len(data.test)) == (1294, 144, 359)
    assert data.train.images.shape == (1294, 1, 8, 8)
    assert data.train.images.dtype == torch.uint8
    assert int(data.train.images.max()) == 255
    assert data.train.labels.dtype == torch.int64
    assert (data.classes, data.image_shape) == (10, (1, 8, 8))

    # digits has no two equal images, so that pixels identify them
    seen = [
        {image.numpy().tobytes() for image in split.images}
        for split in (data.train, data.valid, data.test)
    ]
    assert [len(images) for images in seen] == [1294, 144, 359]
    assert len(set.union(*seen)) == 1797
    # 174 to 183 of each digit: a tenth of four fifths is 14 or 15
    assert set(counts(data.valid.labels).values()) == {14, 15}
    assert len(counts(data.valid.labels)) == 10


def test_mean_and_deviation_are_the_training_splits() -> None:
    for limit in (None, 200):
        data = load_dataset("digits", None, limit=limit)
        pixels = data.train.images.double() / 255
        assert data.mean == pytest.approx([float(pixels.mean())], rel=1e-12)
        assert data.std == pytest.approx([float(pixels.std(correction=0))], rel=1e-12)


def test_the_seed_moves_the_hold_out_but_never_the_test_set() -> None:
    first, again, other = (load_dataset("digits", None, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.valid.images, again.valid.images)
    assert torch.equal(first.train.images, again.train.images)
    assert not torch.equal(first.valid.images, other.valid.images)
    assert torch.equal(first.test.images, other.test.images)


def test_validating_on_the_test_set_holds_nothing_out() -> None:
    data = load_dataset("digits", None, validation="test")
    assert len(data.train) == 1438
    assert data.valid is data.test


def test_a_limit_counts_the_hold_out_and_spares_the_test_set() -> None:
    data = load_dataset("digits", None, limit=100, validation_fraction=0.2)
    assert (len(data.train), len(data.valid), len(data.test)) == (80, 20, 359)
    assert counts(data.valid.labels) == dict.fromkeys(range(10), 2)
    everything = load_dataset("digits", None, limit=5000)
    assert len(everything.train) + len(everything.valid) == 1438


def test_validation_images_lie_beside_the_limit() -> None:
    data = load_dataset("digits", None, limit=100, validation_images=300)
    assert (len(data.train), len(data.valid), len(data.test)) == (100, 300, 359)
    assert set(counts(data.valid.labels).values()) <= {29, 30, 31}
    assert counts(data.train.labels) == dict.fromkeys(range(10), 10)
    alone = load_dataset("digits", None, validation_images=300)
    assert len(alone.train) == 1438 - 300
    assert torch.equal(alone.valid.images, data.valid.images)
    rows = {tuple(image.flatten().tolist()) for image in data.train.images}
    assert not rows & {tuple(image.flatten().tolist()) for image in data.valid.images}
    assert len(load_dataset("digits", None, limit=1400, validation_images=300).train) == 1138


def test_a_limit_too_small_for_the_classes_is_refused() -> None:
    with pytest.raises(DataError, match=r"limit must be at least 10, .*got 9"):
        load_dataset("digits", None, limit=9)
    with pytest.raises(DataError, match=r"class '0' has one training image of the 10 .*limit"):
        load_dataset("digits", None, limit=10)
    assert len(load_dataset("digits", None, limit=10, validation="test").train) == 10


def test_a_split_gives_batches_by_position_and_copies_nothing_when_at_home() -> None:
    data = load_dataset("digits", None)
    positions = torch.tensor([5, 0, 700])
    images, labels = data.train.batch(positions)
    assert torch.equal(images, data.train.images[positions])
    assert torch.equal(labels, data.train.labels[positions])
    assert data.train.to(torch.device("cpu")) is data.train


# --- what does not suit -----------------------------------------------------------------------


def test_arguments_are_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"dataset must be digits, fashion_mnist.*'mnist'"):
        load_dataset("mnist", None)
    with pytest.raises(DataError, match="validation must be holdout or test, got 'train'"):
        load_dataset("digits", None, validation="train")
    with pytest.raises(DataError, match=r"validation_fraction .*got 1\.5"):
        load_dataset("digits", None, validation_fraction=1.5)
    for name in DATASETS[1:]:
        with pytest.raises(DataError, match=f"{name}: data_dir is missing"):
            load_dataset(name, None)


def test_a_network_for_other_data_is_told_what_to_set() -> None:
    with pytest.raises(
        DataError, match=r"classes=100 but the data digits has 10: set .* digits or"
    ):
        load_dataset("digits", None, classes=100)
    with pytest.raises(
        DataError, match=r"input_shape=\[3, 32, 32\] .* images of \[1, 8, 8\].*digits"
    ):
        load_dataset("digits", None, image_shape=(3, 32, 32), classes=10)
    assert load_dataset("digits", None, image_shape=(1, 8, 8), classes=10).classes == 10


# --- Fashion-MNIST ----------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_fashion(folder: Path, *, zipped: bool = True, train: int = 60) -> np.ndarray:
    """IDX files of random images, labels 0 to 9 over and over; the training images."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(train)
    images = {
        "train": rng.integers(0, 256, (train, 28, 28), dtype=np.uint8),
        "t10k": rng.integers(0, 256, (20, 28, 28), dtype=np.uint8),
    }
    for name, pixels in images.items():
        labels = np.arange(len(pixels), dtype=np.uint8) % 10
        for kind, array in (("images-idx3", pixels), ("labels-idx1", labels)):
            content = idx(array)
            path = folder / f"{name}-{kind}-ubyte{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(content, 1) if zipped else content)
    return images["train"]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("place", [".", "FashionMNIST/raw"])
def test_fashion_mnist_from_its_files(tmp_path: Path, zipped: bool, place: str) -> None:
    pixels = write_fashion(tmp_path / place, zipped=zipped)
    data = load_dataset("fashion_mnist", tmp_path, validation="test", image_shape=(1, 28, 28))
    assert torch.equal(data.train.images, torch.from_numpy(pixels)[:, None])
    assert data.train.labels.tolist() == list(range(10)) * 6
    assert len(data.test) == 20
    assert data.class_names[9] == "Ankle boot"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(np.zeros((60, 28, 28), np.uint8))[:-1], "60x28x28 bytes but holds 47039"),
        (b"\0\0\x0d\x03" + bytes(100), "not an IDX file of bytes"),
        (b"", "not an IDX file"),
        (idx(np.zeros((60, 784), np.uint8)), r"not \(images, height, width\)"),
        (idx(np.zeros((59, 28, 28), np.uint8)), "59 images but .* labels of shape"),
    ],
)
def test_broken_idx_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    write_fashion(tmp_path, zipped=False)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        load_dataset("fashion_mnist", tmp_path)
    assert "train-images-idx3-ubyte" in str(error.value)


def test_a_gzip_file_cut_short_and_a_label_out_of_range(tmp_path: Path) -> None:
    write_fashion(tmp_path)
    archive = tmp_path / "t10k-images-idx3-ubyte.gz"
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"t10k-images.* cannot be read"):
        load_dataset("fashion_mnist", tmp_path)
    archive.write_bytes(whole)
    labels = np.full(20, 10, np.uint8)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    with pytest.raises(DataError, match="label 10; allowed are 0 to 9"):
        load_dataset("fashion_mnist", tmp_path)
