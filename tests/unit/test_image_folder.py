"""What `load_dataset` makes of an image folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from nni_blockqnn.data import DataError, load_dataset


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNI_BLOCKQNN_CACHE", str(tmp_path / "cache"))


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
