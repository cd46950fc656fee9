"""What `load_dataset` makes of each data set; test_data_cache.py has the cache and downloads."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

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


# --- CIFAR ------------------------------------------------------------------------------------


def cifar_batch(count: int, labels_key: str, *, bytes_keys: bool = True, seed: int = 0) -> dict:
    rng = np.random.default_rng(seed)
    batch = {
        "data": rng.integers(0, 256, (count, 3072), dtype=np.uint8),
        labels_key: [label % 10 for label in range(count)],
        "filenames": [f"image{number}.png" for number in range(count)],
    }
    return {key.encode() if bytes_keys else key: item for key, item in batch.items()}


def cifar100_files(**options: Any) -> dict[str, bytes]:
    protocol = options.pop("protocol", 2)
    return {
        "train": pickle.dumps(cifar_batch(40, "fine_labels", **options), protocol),
        "test": pickle.dumps(cifar_batch(20, "fine_labels", seed=1, **options), protocol),
        "meta": pickle.dumps({"fine_label_names": [f"name{n}" for n in range(100)]}, protocol),
    }


def write_folder(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def write_archive(path: Path, folder: str, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("bytes_keys", [True, False])
@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_cifar100(tmp_path: Path, kind: str, bytes_keys: bool, protocol: int) -> None:
    files = cifar100_files(bytes_keys=bytes_keys, protocol=protocol)
    if kind == "folder":
        write_folder(tmp_path / "cifar-100-python", files)
    else:
        write_archive(tmp_path / "cifar-100-python.tar.gz", "cifar-100-python", files)
    data = load_dataset("cifar100", tmp_path, image_shape=(3, 32, 32), classes=100)
    pixels = cifar_batch(40, "fine_labels")[b"data"].reshape(40, 3, 32, 32)
    full = load_dataset("cifar100", tmp_path, validation="test")
    assert torch.equal(full.train.images, torch.from_numpy(pixels))
    assert full.train.labels.tolist() == list(range(10)) * 4
    assert (len(data.train), len(data.valid), len(data.test)) == (30, 10, 20)
    assert data.class_names[99] == "name99"
    if kind == "archive":
        assert not (tmp_path / "cifar-100-python").exists()


def test_cifar10_joins_its_five_batches_in_order(tmp_path: Path) -> None:
    files = {
        f"data_batch_{n}": pickle.dumps(cifar_batch(20, "labels", seed=n)) for n in range(1, 6)
    }
    files["test_batch"] = pickle.dumps(cifar_batch(20, "labels", seed=6))
    write_folder(tmp_path / "cifar-10-batches-py", files)
    data = load_dataset("cifar10", tmp_path, validation="test")
    assert len(data.train) == 100
    third = torch.from_numpy(cifar_batch(20, "labels", seed=3)[b"data"]).view(20, 3, 32, 32)
    assert torch.equal(data.train.images[40:60], third)
    assert data.class_names == tuple("0123456789")  # without a meta file
    # the folder itself is taken as well
    inside = load_dataset("cifar10", tmp_path / "cifar-10-batches-py", validation="test")
    assert torch.equal(inside.train.images, data.train.images)


def test_a_batch_as_python_2_wrote_it(tmp_path: Path) -> None:
    """The original archives: strings of Python 2, and the array's bytes among them."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    pixels = cifar_batch(2, "fine_labels")[b"data"]
    original = (
        b"\x80\x02}("
        + text(b"data")
        + b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85"
        + text(b"b")
        + b"tR(K\x01K\x02M\x00\x0c\x86cnumpy\ndtype\n("
        + text(b"u1")
        + b"K\x00K\x01tR(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", pixels.size)
        + pixels.tobytes()
        + b"tb"
        + text(b"fine_labels")
        + b"](K\x07K\x63eu."
    )
    files = cifar100_files() | {"train": original}
    write_folder(tmp_path / "cifar-100-python", files)
    data = load_dataset("cifar100", tmp_path, validation="test")
    assert data.train.labels.tolist() == [7, 99]
    assert torch.equal(data.train.images, torch.from_numpy(pixels).view(2, 3, 32, 32))


def test_labels_may_be_numpy_integers(tmp_path: Path) -> None:
    for number, labels in enumerate(([np.int64(3), np.int64(9)], np.array([3, 9], ">i4"))):
        batch = {b"data": np.zeros((2, 3072), np.uint8), b"fine_labels": labels}
        folder = tmp_path / str(number)
        write_folder(folder / "cifar-100-python", cifar100_files() | {"train": pickle.dumps(batch)})
        data = load_dataset("cifar100", folder, validation="test")
        assert data.train.labels.tolist() == [3, 9]


class _Runs:
    """Pickled, a call of os.system."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("member", ["train", "test", "meta"])
def test_a_pickle_that_runs_something_is_refused_and_does_not_run(
    tmp_path: Path, member: str
) -> None:
    trace = tmp_path / "trace"
    evil = pickle.dumps({b"data": _Runs(f"touch {trace}")})
    write_archive(
        tmp_path / "cifar-100-python.tar.gz",
        "cifar-100-python",
        cifar100_files() | {member: evil},
    )
    with pytest.raises(DataError, match=rf"batch {member} .*names \w+\.system"):
        load_dataset("cifar100", tmp_path)
    assert not trace.exists()
    pickle.loads(evil)
    assert trace.exists()  # it would have run


@pytest.mark.parametrize(
    "array",
    [np.array([object()], dtype=object), np.zeros(3), np.zeros(2, "S4")],
    ids=["object", "float", "text"],
)
def test_arrays_of_anything_but_integers_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    batch = {b"data": array, b"fine_labels": [0]}
    write_folder(
        tmp_path / "cifar-100-python", cifar100_files() | {"train": pickle.dumps(batch, 2)}
    )
    with pytest.raises(DataError, match=r"only integers are read|which no array needs"):
        load_dataset("cifar100", tmp_path)


def _changed(**changes: Any) -> bytes:
    batch = cifar_batch(4, "fine_labels", bytes_keys=False) | changes
    return pickle.dumps(batch)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            _changed(data=np.zeros((4, 3071), np.uint8)),
            r"uint8 \(images, 3072\), is uint8 \(4, 3071\)",
        ),
        (_changed(data=np.zeros((4, 3072), np.int64)), "is int64"),
        (_changed(data=np.zeros((0, 3072), np.uint8)), r"\(0, 3072\)"),
        (_changed(data="pixels"), "is 'pixels'"),
        (_changed(fine_labels=[0, 1, 2]), "fine_labels must be 4 integers"),
        (_changed(fine_labels=[0, 1, 2, 100]), "0 to 99, are 0 to 100"),
        (_changed(fine_labels=[-1, 1, 2, 3]), "are -1 to 3"),
        (_changed(fine_labels=["cat"] * 4), "fine_labels must be 4 integers"),
        (pickle.dumps([1, 2]), "must be a dict"),
        (cifar100_files()["train"][:5000], "not a CIFAR batch"),
        (b"", "not a CIFAR batch"),
    ],
)
def test_broken_batches_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    write_folder(tmp_path / "cifar-100-python", cifar100_files() | {"train": content})
    with pytest.raises(DataError, match=message) as error:
        load_dataset("cifar100", tmp_path)
    assert "cifar100: batch train" in str(error.value)


def test_missing_batches_and_broken_archives_are_named(tmp_path: Path) -> None:
    files = cifar100_files()
    del files["test"]
    write_folder(tmp_path / "one" / "cifar-100-python", files)
    with pytest.raises(DataError, match=r"lacks test: unpack cifar-100-python.tar.gz again"):
        load_dataset("cifar100", tmp_path / "one")
    archive = tmp_path / "cifar-100-python.tar.gz"
    write_archive(archive, "cifar-100-python", files)
    with pytest.raises(DataError, match="has no cifar-100-python/test"):
        load_dataset("cifar100", tmp_path)
    archive.write_bytes(archive.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"cannot be read.*delete it"):
        load_dataset("cifar100", tmp_path)


CIFAR100 = "cifar-100-python"


@pytest.mark.parametrize(
    "name",
    [
        *("{}.tar", "{}.tgz", "{} (1).tar.gz", "{}(2).tar.gz", "{}-1.tar.gz", "{} 2.tar.gz"),
        *("{}.tar (1).gz", "{}.tar.gz.1", "{}.tar-1.gz"),
    ],
)
def test_archives_are_found_as_browsers_leave_them(tmp_path: Path, name: str) -> None:
    whole = tmp_path / "whole.tar.gz"
    write_archive(whole, CIFAR100, cifar100_files())
    (tmp_path / "data").mkdir()
    content = whole.read_bytes()
    if name == "{}.tar":
        content = gzip.decompress(content)
    (tmp_path / "data" / name.format(CIFAR100)).write_bytes(content)
    assert len(load_dataset("cifar100", tmp_path / "data", validation="test").train) == 40


@pytest.mark.parametrize("outer", ["{}", "{}.tar", "{} (1)", "{}.tar (1)"])
def test_unpacked_archives_are_found_in_folders_of_their_names(tmp_path: Path, outer: str) -> None:
    write_folder(tmp_path / outer.format(CIFAR100) / CIFAR100, cifar100_files())
    assert len(load_dataset("cifar100", tmp_path, validation="test").train) == 40


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cifar-100-python.zip", "zip is it, rename it to cifar-100-python.tar.gz"),
        ("CIFAR100.tar.gz", "CIFAR100.tar.gz is it, rename it to cifar-100-python.tar.gz"),
        ("cifar-100-python.tar.gz.crdownload", "is a download that has not ended"),
        ("cifar-10-python.tar.gz", None),
    ],
)
def test_a_hint_says_what_to_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, hint: str | None
) -> None:
    def offline(*arguments: Any, **options: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    (tmp_path / name).touch()
    with pytest.raises(DataError, match="could not be downloaded") as error:
        load_dataset("cifar100", tmp_path)
    message = str(error.value)
    assert hint in message if hint else "rename" not in message


def test_a_directory_that_cannot_be_written_to_is_not_advised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: Any, **options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("nni_blockqnn.data._download.FileLock.acquire", refused)
    for name in ("cifar10", "fashion_mnist"):
        with pytest.raises(DataError, match=r"cannot be written to .*Permission") as error:
            load_dataset(name, tmp_path)
        assert "into" not in str(error.value).replace("downloaded into", "")
        assert "--data-dir" in str(error.value)


def test_a_file_as_the_directory_is_named(tmp_path: Path) -> None:
    write_archive(tmp_path / "cifar-100-python.tar.gz", CIFAR100, cifar100_files())
    with pytest.raises(DataError, match="is a file: name the directory that it lies in"):
        load_dataset("cifar100", tmp_path / "cifar-100-python.tar.gz")


# --- image folders ----------------------------------------------------------------------------


def write_images(
    root: Path, splits: dict[str, int], *, classes: str = "ab", mode: str = "RGB"
) -> None:
    """Images of 4x4 pixels, `splits` says how many a class; class 0 is black, class 1 is 50."""
    for split, count in splits.items():
        for label, name in enumerate(classes):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                colour = 50 * label if mode == "L" else (50 * label, 10, number)
                Image.new(mode, (4, 4), colour).save(folder / f"{number}.png")


def test_an_image_folder_with_a_test_set_holds_validation_out_of_train(tmp_path: Path) -> None:
    write_images(tmp_path, {"train": 10, "test": 3})
    data = load_dataset("image-folder", tmp_path, image_shape=(3, 4, 4), classes=2)
    assert (len(data.train), len(data.valid), len(data.test)) == (18, 2, 6)
    assert data.class_names == ("a", "b")
    assert data.test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    # channels come first, files in sorted order: blue is the file's number
    assert data.test.images[:, :, 0, 0].tolist() == [
        [0, 10, 0],
        [0, 10, 1],
        [0, 10, 2],
        [50, 10, 0],
        [50, 10, 1],
        [50, 10, 2],
    ]


def test_val_alone_is_the_test_set_and_beside_test_the_validation_set(tmp_path: Path) -> None:
    write_images(tmp_path / "one", {"train": 10, "val": 3})
    alone = load_dataset("image-folder", tmp_path / "one")
    assert (len(alone.train), len(alone.valid), len(alone.test)) == (18, 2, 6)

    write_images(tmp_path / "two", {"train": 10, "val": 2, "test": 3})
    both = load_dataset("image-folder", tmp_path / "two")
    assert (len(both.train), len(both.valid), len(both.test)) == (20, 4, 6)
    final = load_dataset("image-folder", tmp_path / "two", validation="test")
    assert (len(final.train), len(final.valid)) == (20, 6)


def test_images_become_grey_or_coloured_as_the_network_wants(tmp_path: Path) -> None:
    write_images(tmp_path, {"train": 2, "test": 1}, mode="L")
    own = load_dataset("image-folder", tmp_path)
    assert own.image_shape == (1, 4, 4)
    coloured = load_dataset("image-folder", tmp_path, image_shape=(3, 4, 4))
    assert coloured.test.images[1, :, 0, 0].tolist() == [50, 50, 50]
    with pytest.raises(DataError, match=r"input_shape \[2, 4, 4\].*1 channel"):
        load_dataset("image-folder", tmp_path, image_shape=(2, 4, 4))


def test_other_sizes_are_resized_and_cut_at_the_centre(tmp_path: Path) -> None:
    write_images(tmp_path, {"train": 2, "test": 1}, mode="L")
    wide = Image.new("L", (16, 8), 0)  # black at both ends, which are cut away
    wide.paste(200, (2, 0, 14, 8))
    wide.save(tmp_path / "test" / "a" / "0.png")
    data = load_dataset("image-folder", tmp_path, image_shape=(1, 4, 4))
    assert data.test.images[0].unique().tolist() == [200]


def test_hidden_and_unknown_files_are_passed_over(tmp_path: Path) -> None:
    write_images(tmp_path, {"train": 2, "test": 1})
    (tmp_path / "train" / "a" / ".DS_Store.png").write_text("x")
    (tmp_path / "train" / "a" / "README.txt").write_text("x")
    (tmp_path / "train" / ".cache").mkdir()
    assert len(load_dataset("image-folder", tmp_path, validation="test").train) == 4


def test_broken_images_are_named(tmp_path: Path) -> None:
    write_images(tmp_path, {"train": 2, "test": 1})
    broken = tmp_path / "train" / "b" / "1.png"
    whole = broken.read_bytes()
    for content in (b"", b"no image", whole[:40], whole[:-30]):
        broken.write_bytes(content)
        with pytest.raises(DataError, match=r"b/1\.png is not an image that Pillow can read"):
            load_dataset("image-folder", tmp_path, image_shape=(3, 4, 4))


def test_folders_that_are_missing_empty_or_different_are_named(tmp_path: Path) -> None:
    def message(root: Path) -> str:
        with pytest.raises(DataError) as error:
            load_dataset("image-folder", root, image_shape=(3, 4, 4))
        assert "\n" not in str(error.value)
        return str(error.value)

    root = tmp_path / "data"
    assert f"no directory {root}" in message(root)
    root.mkdir()
    assert f"no class folders in {root}: expected DIR/train/CLASS" in message(root)
    (root / "train").mkdir()
    (root / "test").mkdir()
    assert f"no class folders in {root / 'train'}" in message(root)
    (root / "train" / "cat").mkdir()
    (root / "test" / "dog").mkdir()
    assert f"{root / 'test'} lacks the class 'cat'" in message(root)
    (root / "test" / "cat").mkdir()
    assert f"{root / 'train'} lacks the class 'dog' that {root / 'test'} has" in message(root)
    (root / "train" / "dog").mkdir()
    assert f"no images in {root / 'train' / 'cat'}: put some there" in message(root)
    (root / "train").rename(tmp_path / "elsewhere")
    assert f"no directory {root / 'train'}" in message(root)


def test_a_class_of_one_image_cannot_be_held_out(tmp_path: Path) -> None:
    write_images(tmp_path, {"train": 1, "test": 1})
    with pytest.raises(DataError, match=r"class 'a' has one training image.*validation 'test'"):
        load_dataset("image-folder", tmp_path)


def test_a_channel_without_any_deviation_does_not_divide_by_zero(tmp_path: Path) -> None:
    write_images(tmp_path, {"train": 2, "test": 1})
    data = load_dataset("image-folder", tmp_path, validation="test")
    assert data.std[1] == 1.0  # green is 10 everywhere
    assert data.mean[:2] == pytest.approx([25 / 255, 10 / 255])
    assert data.std[0] == pytest.approx(25 / 255)
