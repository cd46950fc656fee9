"""One image file as 8-bit pixels, the right way up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = frozenset(
    {
        *(".apng", ".avif", ".bmp", ".bw", ".cur", ".dcx", ".dds", ".dib", ".fit", ".fits"),
        *(".gif", ".icb", ".icns", ".ico", ".im", ".j2c", ".j2k", ".jfif", ".jp2", ".jpc"),
        *(".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".msp", ".pbm", ".pcx", ".pfm"),
        *(".pgm", ".png", ".pnm", ".ppm", ".psd", ".pxr", ".qoi", ".ras", ".rgb", ".rgba"),
        *(".sgi", ".tga", ".tif", ".tiff", ".vda", ".vst", ".webp", ".xbm", ".xpm"),
    }
)
"""Of files that are read. Pillow's own list also has what it only writes (.pdf), films, and formats
whose reader is another program (.eps, .h5)."""

_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F"})
_IN_TWO_STEPS = {"La": "LA", "RGBa": "RGBA", "LAB": "RGB"}
"""Modes that Pillow does not convert to grey at once, and what it converts them to."""
_ORIENTATION = 0x0112
"""The EXIF tag: 1 is upright; 2 to 8 are mirrored, turned or both."""
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS, _TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 256, 257, 258, 262, 0
_LARGEST_16_BIT = 65_535


class UnknownRangeError(ValueError):
    """The image's numbers have no known black and white, so they cannot become 0 to 255."""


class Header(NamedTuple):
    """What a file says of its image, before any pixel is read.

    Attributes:
        width, height: in pixels, once the image is upright.
        is_grey: whether it has one channel, transparency aside.
        bits: of a grey pixel; 16 or fewer for those of "I;16", otherwise 8.
    """

    width: int
    height: int
    is_grey: bool
    bits: int


def read_header(path: str) -> Header:
    """Raises whatever Pillow raises for a broken file."""
    with _opened(path) as image:
        width, height = _stored_size(image)
        if _orientation(image) >= 5:  # turned by 90 degrees
            width, height = height, width
        bits = _full_scale(image).bit_length() if _is_16_bit(image) else 8
        return Header(width, height, _is_grey(image), bits)


def read_picture(path: str, mode: str) -> Image:
    """The image in Pillow's mode "L" or "RGB", whatever it is in the file; of several, the first.

    16-bit grey is scaled to 8 bits, and the image is turned as its EXIF orientation says.

    Raises:
        UnknownRangeError: for pixels of 32 bits, integers or floats.
        Exception: broken files raise SyntaxError, struct.error and more.
    """
    with _opened(path) as file:
        file.load()
        image = _eight_bits(file)
        if image.mode in _IN_TWO_STEPS:
            image = image.convert(_IN_TWO_STEPS[image.mode])
        return _upright(image.convert(mode), _orientation(file))


def brightest(path: str) -> tuple[int, int]:
    """The largest pixel of a 16-bit grey image, and the largest that it could have."""
    import numpy as np

    with _opened(path) as image:
        return int(np.asarray(image).max()), _full_scale(image)


@contextmanager
def _opened(path: str) -> Iterator[Image]:
    from PIL import Image

    # by its name, Pillow 13 maps a grey TIFF that is to be turned with width and height
    # exchanged, and its pixels are lost
    with open(path, "rb") as stream, Image.open(stream) as image:  # noqa: PTH123, of a million
        yield image


def _stored_size(image: Image) -> tuple[int, int]:
    """Before any turn; Pillow may, or may not, have exchanged the sides of a TIFF by now."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(_TIFF_WIDTH, image.width), tags.get(_TIFF_HEIGHT, image.height)


def _is_grey(image: Image) -> bool:
    return image.mode in _GREY_MODES or image.mode.startswith("I;16")


def _is_16_bit(image: Image) -> bool:
    """Older versions of Pillow open PNGs of 16 bits in mode "I", as all do with PGMs."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))


def _full_scale(image: Image) -> int:
    """White of a 16-bit grey image; TIFF also packs 12 bits a pixel."""
    bits = getattr(image, "tag_v2", {}).get(_TIFF_BITS, (16,))[0]
    return min((1 << bits) - 1, _LARGEST_16_BIT)


def _eight_bits(image: Image) -> Image:
    """`Image.convert` would clip at 255: 16 bits to white, floats from 0 to 1 to black."""
    import numpy as np
    from PIL import Image as PillowImage

    if not _is_16_bit(image):
        if image.mode in ("I", "F"):
            raise UnknownRangeError(
                f"its pixels are {'integers' if image.mode == 'I' else 'floats'} of 32 bits, whose "
                "black and white nobody knows; save it with 8 or 16 bits"
            )
        return image
    scaled = np.rint(np.asarray(image).astype(np.float32) * (255 / _full_scale(image)))
    pixels = np.clip(scaled, 0, 255).astype(np.uint8)
    # of 8 bits Pillow itself turns these over
    if getattr(image, "tag_v2", {}).get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO:
        pixels = 255 - pixels
    return PillowImage.fromarray(pixels)


def _orientation(image: Image) -> int:
    """1 to 8; of TIFF Pillow itself turns the pixels, when they are loaded, and says 1 then."""
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # tags are often damaged where the pixels are whole
        return 1
    return found if found in range(1, 9) else 1


def _upright(image: Image, orientation: int) -> Image:
    """As `ImageOps.exif_transpose`, which writes all tags anew and so fails on damaged ones."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image
