"""Files as users have them: 16 bits, turned photos, other files in between, odd folders."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nni_blockqnn.data import DataError, ImageData, load_dataset
from nni_blockqnn.data._class_names import near_pairs, nearest
from nni_blockqnn.data._pictures import read_header, read_picture
from nni_blockqnn.data._survey import Survey, misfits
from nni_blockqnn.exchange.trial_check import Request
from nni_blockqnn.trials._rehearsal import rehearse

GREY_16 = np.array([[0, 7 * 257, 1000, 65_535]], np.uint16)
AS_8_BITS = [0, 7, 4, 255]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNI_BLOCKQNN_CACHE", str(tmp_path_factory.mktemp("cache")))


def write_class(
    folder: Path, count: int = 4, colour: int = 0, size: tuple[int, int] = (4, 4)
) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("L", size, colour + number).save(folder / f"{number}.png")


def write_splits(root: Path, *splits: str, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    for split in splits:
        for label, name in enumerate(classes):
            write_class(root / split / name, colour=100 * label)
    return root


def loaded(root: Path, dataset: str = "image-folder", **options: object) -> ImageData:
    shape = (1, 4, 4) if dataset == "image-folder" else (3, 4, 4)
    return load_dataset(dataset, root, **{"image_shape": shape} | options)


def refusal(root: Path, dataset: str = "image-folder", **options: object) -> str:
    with pytest.raises(DataError) as error:
        loaded(root, dataset, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


both = pytest.mark.parametrize("dataset", ["image-folder", "imagenet"])

# --- pixels -----------------------------------------------------------------------------------


def big_endian(path: Path) -> None:
    Image.fromarray(GREY_16.astype(">u2")).save(path)


def white_is_zero(path: Path) -> None:
    Image.fromarray(65_535 - GREY_16).save(path, tiffinfo={262: 0})


def twelve_bits(path: Path) -> None:
    """0, 4095, 100, 4095: TIFF packs two pixels into three bytes."""
    path.write_bytes(
        b"II*\0\x08\0\0\0\x08\0"
        + b"".join(
            tag.to_bytes(2, "little") + b"\x04\0\x01\0\0\0" + value.to_bytes(4, "little")
            for tag, value in (
                *((256, 4), (257, 1), (258, 12), (259, 1), (262, 1), (273, 110)),
                *((277, 1), (279, 6)),
            )
        )
        + bytes(4)
        + bytes.fromhex("000fff064fff")
    )


@pytest.mark.parametrize(
    ("name", "write", "expected"),
    [
        ("a.png", Image.fromarray(GREY_16).save, AS_8_BITS),
        ("a.tif", Image.fromarray(GREY_16).save, AS_8_BITS),
        ("big-endian.tif", big_endian, AS_8_BITS),
        ("a.pgm", Image.fromarray(GREY_16).save, AS_8_BITS),
        ("a.jp2", Image.fromarray(GREY_16).save, AS_8_BITS),
        ("white-is-zero.tif", white_is_zero, AS_8_BITS),
        ("12-bits.tif", twelve_bits, [0, 255, 6, 255]),
    ],
)
def test_16_bits_become_8(
    tmp_path: Path, name: str, write: Callable[[Path], None], expected: list[int]
) -> None:
    path = tmp_path / name
    write(path)
    assert np.asarray(read_picture(str(path), "L")).tolist() == [expected]
    assert np.asarray(read_picture(str(path), "RGB"))[:, :, 2].tolist() == [expected]
    assert read_header(str(path))[:3] == (4, 1, True)


@both
def test_16_bits_of_two_brightnesses_stay_two(tmp_path: Path, dataset: str) -> None:
    for name, value in (("dark", 20_000), ("light", 50_000)):
        for split in ("train", "test"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(3):
                image = Image.fromarray(np.full((4, 4), value, np.uint16))
                image.save(tmp_path / split / name / f"{number}.png")
    data = loaded(tmp_path, dataset)
    if dataset == "image-folder":
        pixels = data.test.images.flatten(1)[:, 0].tolist()
    else:
        pixels = [data.test.read(number).getpixel((0, 0))[0] for number in range(6)]
    assert pixels == [78] * 3 + [195] * 3


@both
@pytest.mark.parametrize(("mode", "what"), [("I", "integers"), ("F", "floats")])
def test_pixels_of_unknown_range_are_refused_with_the_files_name(
    tmp_path: Path, dataset: str, mode: str, what: str
) -> None:
    write_splits(tmp_path, "train", "test")
    Image.new(mode, (4, 4)).save(tmp_path / "test" / "dog" / "x.tif")
    expected = rf"test/dog/x\.tif: its pixels are {what} of 32 bits"
    with pytest.raises(DataError, match=expected):
        loaded(tmp_path, dataset).test.read(4 + 4)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_every_other_mode_becomes_grey_and_coloured(tmp_path: Path, mode: str) -> None:
    name = str(tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr", "LAB") else "a.png"))
    Image.new(mode, (3, 2)).save(name)
    for wanted in ("L", "RGB"):
        image = read_picture(name, wanted)
        assert (image.mode, image.size) == (wanted, (3, 2))
    assert read_header(name)[:3] == (3, 2, mode in ("1", "L", "LA"))


@pytest.mark.parametrize("ending", ["gif", "png", "tif", "webp"])
def test_of_an_animation_the_first_image_is_read(tmp_path: Path, ending: str) -> None:
    first, second = (Image.new("RGB", (4, 4), colour) for colour in ("white", "black"))
    path = tmp_path / f"a.{ending}"
    first.save(path, save_all=True, append_images=[second])
    assert read_picture(str(path), "L").getpixel((0, 0)) == 255


# --- orientation ------------------------------------------------------------------------------


def turned(path: Path, orientation: int) -> None:
    """Stored so that a viewer shows 4x2 pixels, white on the left above, black elsewhere."""
    upright = Image.new("L", (4, 2), 0)
    upright.putpixel((0, 0), 255)
    back = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    tags = Image.Exif()
    tags[0x0112] = orientation
    stored = upright if back is None else upright.transpose(back)
    stored.save(path, exif=tags, **({"lossless": True} if path.suffix == ".webp" else {}))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_images_are_turned_upright(tmp_path: Path, ending: str, orientation: int) -> None:
    path = tmp_path / f"a.{ending}"
    turned(path, orientation)
    pixels = np.asarray(read_picture(str(path), "L"))
    assert pixels.shape == (2, 4)
    assert pixels[0, 0] == 255
    assert pixels.sum() == 255
    assert read_header(str(path))[:2] == (4, 2)


def test_shapes_are_inferred_from_upright_photos(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            tags = Image.Exif()
            tags[0x0112] = 6
            for number in range(3):
                photo = Image.new("L", (8, 6))
                photo.save(tmp_path / split / name / f"{number}.JPG", exif=tags)
    assert load_dataset("image-folder", tmp_path).image_shape == (1, 8, 6)


def test_damaged_tags_do_not_spoil_an_image(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("L", (4, 2), 9).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\x7fbroken")
    assert read_picture(str(path), "L").size == (4, 2)


# --- shapes -----------------------------------------------------------------------------------


def test_one_odd_image_does_not_decide_the_shape(tmp_path: Path) -> None:
    write_splits(tmp_path, "train", "test")
    Image.new("L", (6000, 10)).save(tmp_path / "train" / "cat" / "0.png")
    assert load_dataset("image-folder", tmp_path).image_shape == (1, 4, 4)


@pytest.mark.parametrize("shape", [None, (3, 60_000, 1_000)])
def test_images_too_large_for_memory_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int] | None
) -> None:
    write_splits(tmp_path, "train", "test")
    memory = type("Memory", (), {"total": 255})  # 16 images of 1x4x4 take 256 bytes
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    message = refusal(tmp_path, image_shape=shape)
    assert "16 images of" in message
    assert "smaller input_shape" in message
    assert "--dataset imagenet" in message


PHOTOS = Survey(images=10, width=400, height=300, coloured=4, brightest=None)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((3, 30, 40), []),
        ((3, 28, 40), []),
        ((1, 30, 40), ["4 of 10 images looked at are stored in colour"]),
        ((3, 40, 30), ["400x300", "lie the other way", "44 %", "[3, 30, 40]"]),
        ((3, 32, 32), ["another proportion", "25 % of such an image is cut away", "[3, 28, 37]"]),
    ],
)
def test_a_shape_that_does_not_fit_the_photos_is_said(
    shape: tuple[int, int, int], words: list[str]
) -> None:
    notes = misfits(PHOTOS, shape)
    assert len(notes) == bool(words)
    for word in words:
        assert word in notes[0]


def test_dark_16_bit_images_are_said(tmp_path: Path) -> None:
    write_splits(tmp_path, "train", "test")
    Image.fromarray(np.full((4, 4), 4095, np.uint16)).save(tmp_path / "train" / "cat" / "0.png")
    (note,) = loaded(tmp_path).notes
    assert "is 4095 of 65535" in note
    assert loaded(tmp_path).notes == (note,), "of the cache too"


# --- files that are passed over ----------------------------------------------------------------


@both
def test_files_that_are_not_read_are_said(tmp_path: Path, dataset: str) -> None:
    write_splits(tmp_path, "train", "test")
    cat = tmp_path / "train" / "cat"
    for number in range(6):
        (cat / f"photo{number}.HEIC").touch()
    for name in ("a.pdf", "b.h5", "c.mpg", "d.eps", "README"):
        (tmp_path / "train" / "dog" / name).touch()
    (tmp_path / "test" / "cat" / "more").mkdir()
    (tmp_path / "test" / "cat" / ".hidden.png").touch()
    (tmp_path / "test" / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "test" / "stray.png").touch()
    data = loaded(tmp_path, dataset)
    assert (len(data.train) + len(data.valid), len(data.test)) == (8, 8)
    first, second, third, fourth, fifth = data.notes
    assert first == "6 files in train/cat are not read: .heic"
    assert second.startswith("5 files in train/dog are not read: 1 ")
    assert third == "2 files in test/cat are not read: 1 hidden .png, 1 .png, a broken link" or (
        third == "2 files in test/cat are not read: 1 .png, a broken link, 1 hidden .png"
    )
    assert fourth == "1 folder in test/cat is not read, only the images beside"
    assert fifth == "1 file in test is not read: .png, in no class folder"


@both
def test_what_systems_leave_behind_is_passed_over_without_a_word(
    tmp_path: Path, dataset: str
) -> None:
    write_splits(tmp_path, "train", "test")
    junk = ("__MACOSX", "@eaDir", ".ipynb_checkpoints", "lost+found", "$RECYCLE.BIN", ".cache")
    for split in ("train", "test"):
        for name in junk:
            write_class(tmp_path / split / name)
            write_class(tmp_path / split / "cat" / name)
        for name in ("Thumbs.db", ".DS_Store", "desktop.ini", "._0.png"):
            (tmp_path / split / "cat" / name).touch()
    data = loaded(tmp_path, dataset)
    assert data.class_names == ("cat", "dog")
    assert data.notes == ()


def test_notes_on_many_folders_are_few(tmp_path: Path) -> None:
    write_splits(tmp_path, "train", "test", classes=tuple("abcdefgh"))
    for number, name in enumerate("abcdefgh"):
        for other in range(8 - number):
            (tmp_path / "train" / name / f"{other}.heic").touch()
    notes = loaded(tmp_path).notes
    assert len(notes) == 4
    assert notes[0] == "8 files in train/a are not read: .heic"
    assert notes[3] == "15 files in 5 more folders of train are not read: .heic"


@both
def test_a_class_of_other_files_only_says_which(tmp_path: Path, dataset: str) -> None:
    write_splits(tmp_path, "train", "test")
    (tmp_path / "train" / "fox").mkdir()
    (tmp_path / "test" / "fox").mkdir()
    (tmp_path / "train" / "fox" / "a.heic").touch()
    message = refusal(tmp_path, dataset)
    assert f"no images in {tmp_path / 'train' / 'fox'}" in message
    assert "(1 file in train/fox is not read: .heic)" in message


def test_links_to_images_and_to_classes_are_followed(tmp_path: Path) -> None:
    write_splits(tmp_path / "store", "x")
    (tmp_path / "data" / "train" / "cat").mkdir(parents=True)
    for image in (tmp_path / "store" / "x" / "cat").iterdir():
        (tmp_path / "data" / "train" / "cat" / image.name).symlink_to(image)
    (tmp_path / "data" / "train" / "dog").symlink_to(tmp_path / "store" / "x" / "dog")
    (tmp_path / "data" / "test").symlink_to(tmp_path / "store" / "x")
    data = loaded(tmp_path / "data")
    assert (len(data.train) + len(data.valid), len(data.test)) == (8, 8)
    assert data.notes == ()


def test_broken_images_are_reported_together(tmp_path: Path) -> None:
    write_splits(tmp_path, "train", "test")
    for split in ("train", "test"):
        for number in range(4):
            (tmp_path / split / "dog" / f"{number}.png").write_text("no image")
    message = refusal(tmp_path)
    assert "8 files of 16 cannot be read" in message
    assert message.count("is not an image that Pillow can read") == 5
    assert "and 3 more: replace or remove them" in message


@pytest.mark.parametrize("workers", [0, 1])
def test_broken_images_of_streamed_folders_are_reported_together(
    tmp_path: Path, workers: int
) -> None:
    from nni_blockqnn.training.streaming import batches_of

    write_splits(tmp_path, "train", "test")
    for number in (1, 3):
        (tmp_path / "test" / "cat" / f"{number}.png").write_text("no image")
    split = loaded(tmp_path, "imagenet", workers=workers).test
    batches = batches_of(split, (0.0,) * 3, (1.0,) * 3, torch.device("cpu"))
    with pytest.raises(DataError, match=r"2 files of 8 looked at .*1\.png.*3\.png"):
        list(batches.in_order(2))


# --- classes ----------------------------------------------------------------------------------


@both
def test_one_class_is_refused(tmp_path: Path, dataset: str) -> None:
    write_splits(tmp_path, "train", "test", classes=("cat",))
    message = refusal(tmp_path, dataset)
    assert "has one class, 'cat'" in message
    assert "two classes at least" in message


@both
def test_class_names_of_two_unicode_forms_are_one_class(tmp_path: Path, dataset: str) -> None:
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    write_splits(tmp_path, "train", classes=(composed, "dog"))
    write_splits(tmp_path, "test", classes=(decomposed, "dog"))
    write_class(tmp_path / "train" / decomposed, colour=50)
    data = loaded(tmp_path, dataset, validation="test")
    assert data.class_names == (composed, "dog")
    assert data.train.labels.tolist() == [0] * 8 + [1] * 4
    assert data.test.labels.tolist() == [0] * 4 + [1] * 4


@both
@pytest.mark.parametrize("other", ["Cat", "cat ", "cats"])
def test_a_missing_class_names_the_nearest_one(tmp_path: Path, dataset: str, other: str) -> None:
    write_splits(tmp_path, "train")
    write_splits(tmp_path, "test", classes=(other, "dog"))
    message = refusal(tmp_path, dataset)
    assert f"{tmp_path / 'test'} lacks the class 'cat'" in message
    assert f"it has {other!r}: is that the same?" in message


def test_near_matches_within_a_split_are_said(tmp_path: Path) -> None:
    write_splits(tmp_path, "train", "test", classes=("Cat", "cat", "dog"))
    (note,) = loaded(tmp_path).notes
    assert "the classes 'Cat' and 'cat' are two" in note
    assert near_pairs(["sea_lion", "Sea Lion", "1", "11", "+", "-"]) == [("sea_lion", "Sea Lion")]
    assert nearest("n01440764", ["dog"]) is None


@both
def test_an_imbalance_is_said(tmp_path: Path, dataset: str) -> None:
    write_class(tmp_path / "well", 95)
    write_class(tmp_path / "ill", 5, colour=100)
    data = loaded(tmp_path, dataset)
    assert "'well' has 69 training images and 'ill' 3" in data.notes[-1]
    assert "right for 95.8 % of them" in data.notes[-1]
    assert "--metric balanced_accuracy" in data.notes[-1]


# --- splits -----------------------------------------------------------------------------------


@both
def test_train_alone_and_classes_alone_are_split(tmp_path: Path, dataset: str) -> None:
    for name in ("cat", "dog"):
        write_class(tmp_path / "data" / "train" / name, 20)
    with_train = loaded(tmp_path / "data", dataset)
    alone = loaded(tmp_path / "data" / "train", dataset)
    for data in (with_train, alone):
        assert data.train.labels.bincount().tolist() == [14, 15]
        assert data.valid.labels.bincount().tolist() == [2, 1]
        assert data.test.labels.bincount().tolist() == [4, 4]
        assert "20 % of the images of each class" in data.notes[0]
        assert "are the test set" in data.notes[0]
    assert "has neither val nor test" in with_train.notes[0]
    assert "a folder for each class and none for training" in alone.notes[0]
    if dataset == "image-folder":  # pixels are the files' numbers
        other = loaded(tmp_path / "data", dataset, seed=1)
        assert torch.equal(other.test.images, with_train.test.images)
        values = [
            set(split.images[split.labels == 0].flatten().tolist())
            for split in (with_train.train, with_train.valid, with_train.test)
        ]
        assert [len(some) for some in values] == [14, 2, 4]
        assert set.union(*values) == set(range(20))


@both
def test_val_as_the_test_set_is_said(tmp_path: Path, dataset: str) -> None:
    write_splits(tmp_path, "train", "val")
    (note,) = loaded(tmp_path, dataset).notes
    assert f"{tmp_path / 'val'} is the test set" in note


@both
def test_folders_may_have_other_names_and_test_beside_val_is_the_test_set(
    tmp_path: Path, dataset: str
) -> None:
    write_splits(tmp_path, "Training", "valid", "Test")
    data = loaded(tmp_path, dataset)
    assert (len(data.train), len(data.valid), len(data.test)) == (8, 8, 8)
    assert data.notes == ()
    few = loaded(tmp_path, dataset, validation_images=4)
    assert (len(few.train), len(few.valid), len(few.test)) == (8, 4, 8)
    assert few.valid.labels.bincount().tolist() == [2, 2]
    write_splits(tmp_path, "val")
    assert "may both be the folder of val: rename one" in refusal(tmp_path, dataset)


@both
def test_a_test_folder_without_classes_is_left_alone_beside_val(
    tmp_path: Path, dataset: str
) -> None:
    write_splits(tmp_path, "train", "val")
    (tmp_path / "test").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "test" / "ILSVRC2012_test_00000001.png")
    assert len(loaded(tmp_path, dataset).test) == 8


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("train", "bus"):
        write_class(tmp_path / name)
    assert loaded(tmp_path).class_names == ("bus", "train")


@both
def test_a_class_of_one_image_cannot_be_split(tmp_path: Path, dataset: str) -> None:
    write_class(tmp_path / "cat")
    write_class(tmp_path / "dog", 1)
    assert "class 'dog' has one image" in refusal(tmp_path, dataset)


def test_check_warns_of_what_is_to_be_said(tmp_path: Path) -> None:
    write_splits(tmp_path, "train", "val")
    (tmp_path / "train" / "cat" / "a.heic").touch()
    network = '{"input_shape": [1, 4, 4], "classes": 2, "filters": [2], "repeats": 1}'
    answer = rehearse(
        ["--dataset", "image-folder", "--data-dir", str(tmp_path)], Request(network, trials=1000)
    )
    assert answer.passed, answer
    assert answer.threads == 1
    assert f"{tmp_path / 'val'} is the test set" in answer.warnings[0]
    assert answer.warnings[1] == "1 file in train/cat is not read: .heic"
