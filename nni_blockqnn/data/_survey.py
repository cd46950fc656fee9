"""What the images of a folder look like, from the headers of some, and what of it does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_low
from typing import NamedTuple

from nni_blockqnn.data._class_folders import ClassFolders
from nni_blockqnn.data._pictures import Header, brightest, read_header

_LOOKED_AT = 100
_PIXELS_LOOKED_AT = 20
_SAID_FROM = 0.2
"""What share of a photo must be cut away to be said: 4:3 in a square loses 0.25."""
_DARK = 1 / 8


class Survey(NamedTuple):
    """Of images spread over a data set.

    Attributes:
        images: how many were looked at.
        width, height: medians in pixels, of the upright images.
        coloured: how many are stored in colour.
        brightest: the largest pixel of some of the 16-bit images and the largest that there could
            be; None if there are none.
    """

    images: int
    width: int
    height: int
    coloured: int
    brightest: tuple[int, int] | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) that suits most of the images."""
        return (3 if self.coloured else 1), self.height, self.width


def survey(files: ClassFolders, paths: Sequence[str]) -> Survey:
    """Look at up to 100 images, spread over all; those that are broken are left out.

    Raises:
        DataError: naming the first image, if all are broken.
    """
    step = max(len(paths) // _LOOKED_AT, 1)
    headers: dict[str, Header] = {}
    errors: dict[str, Exception] = {}
    for path in paths[::step][:_LOOKED_AT]:
        try:
            headers[path] = read_header(path)
        except Exception as error:  # broken files raise SyntaxError, struct.error and more
            errors[path] = error
    if not headers:
        raise files.broken(errors)
    found = headers.values()
    return Survey(
        len(headers),
        median_low(header.width for header in found),
        median_low(header.height for header in found),
        sum(not header.is_grey for header in found),
        _brightest([path for path, header in headers.items() if header.bits > 8]),
    )


def misfits(found: Survey, shape: tuple[int, int, int], said_from: float = _SAID_FROM) -> list[str]:
    """Lines on what of the images is lost when they are brought to this (C, H, W)."""
    channels, height, width = shape
    notes = []
    if channels == 1 and found.coloured:
        notes.append(
            f"{found.coloured} of {found.images} images looked at are stored in colour, and become "
            f"grey: the network's input_shape {list(shape)} has one channel"
        )
    lost = _cut_away(found.width, found.height, width, height)
    if lost >= said_from:
        turned = _cut_away(found.width, found.height, height, width) < min(lost, said_from)
        suited = [channels, width, height] if turned else [channels, *_same_area(found, shape)]
        how = "lie the other way" if turned else "have another proportion"
        notes.append(
            f"most images have {found.width}x{found.height} pixels (width x height) and {how} than "
            f"the network's {width}x{height}: {100 * lost:.0f} % of such an image is cut away; "
            f"input_shape {suited} would keep more"
        )
    if found.brightest is not None and found.brightest[0] <= _DARK * found.brightest[1]:
        brightest, white = found.brightest
        notes.append(
            f"the brightest pixel of some images of 16 bits is {brightest} of {white}, so they "
            f"become dark, 0 to {round(255 * brightest / white)} of 255: scale them to all 16 bits"
        )
    return notes


def _cut_away(width: int, height: int, to_width: int, to_height: int) -> float:
    """The share of an image that lies outside of the largest centre piece of that proportion."""
    kept = min(width * to_height / (height * to_width), height * to_width / (width * to_height))
    return 1 - kept


def _same_area(found: Survey, shape: tuple[int, int, int]) -> tuple[int, int]:
    """(height, width) of the images' proportion, with about as many pixels as the shape has."""
    _, height, width = shape
    ratio = found.width / found.height
    area = height * width
    return max(round((area / ratio) ** 0.5), 1), max(round((area * ratio) ** 0.5), 1)


def _brightest(paths: Sequence[str]) -> tuple[int, int] | None:
    found = []
    for path in paths[:_PIXELS_LOOKED_AT]:
        try:
            found.append(brightest(path))
        except Exception:  # reported when all are read
            continue
    return max(found, key=lambda one: one[0] / one[1]) if found else None
