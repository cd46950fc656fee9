"""Images as users have them: 16 bits, turned photos, odd shapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from class_folders import both, loaded, refusal, write_splits
from PIL import Image

from nni_blockqnn.data import DataError, load_dataset
from nni_blockqnn.data._pictures import read_header, read_picture
from nni_blockqnn.data._survey import Survey, misfits

GREY_16 = np.array([[0, 7 * 257, 1000, 65_535]], np.uint16)
AS_8_BITS = [0, 7, 4, 255]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNI_BLOCKQNN_CACHE", str(tmp_path_factory.mktemp("cache")))


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
