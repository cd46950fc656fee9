"""What a data set is seen to hold before anything is trained on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from jpegs import write_tree

from nni_blockqnn.automl.plan import make_plan
from nni_blockqnn.automl.request import Request, RequestError
from nni_blockqnn.data import DataError
from nni_blockqnn.data.image_files import image_files_below
from nni_blockqnn.data.outline import outline_of

CLASSES = ["cat", "dog"]


def test_a_named_data_set() -> None:
    found = outline_of("digits", Path("unused"))
    assert (found.dataset, found.classes, found.image_shape) == ("digits", 10, (1, 8, 8))
    assert (found.trained, found.tested, found.validated) == (1_438, 359, 0)
    assert not found.is_imbalanced
    assert found.fingerprint == outline_of("digits", Path("elsewhere")).fingerprint


def test_class_folders_alone_give_a_fifth_to_the_test(tmp_path: Path) -> None:
    write_tree(tmp_path, {".": 10}, CLASSES)
    found = outline_of(str(tmp_path), Path("unused"))
    assert (found.dataset, found.data_dir) == ("image-folder", tmp_path.resolve())
    assert (found.counts, found.tested, found.validated) == ((8, 8), 4, 0)
    assert found.class_names == ("cat", "dog")
    assert "20 % of the images of each class" in found.notes[0]


def test_splits_of_its_own_are_kept(tmp_path: Path) -> None:
    write_tree(tmp_path, {"train": 5, "val": 3, "test": 2}, CLASSES)
    found = outline_of(str(tmp_path), Path("unused"))
    assert (found.counts, found.validated, found.tested) == ((5, 5), 6, 4)


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    write_tree(tmp_path, {".": 4}, CLASSES)
    before = outline_of(str(tmp_path), Path("unused")).fingerprint
    (tmp_path / "cat" / "cat_0.JPEG").touch()  # another time is no other data
    assert outline_of(str(tmp_path), Path("unused")).fingerprint == before
    (tmp_path / "cat" / "cat_0.JPEG").rename(tmp_path / "dog" / "cat_0.JPEG")
    assert outline_of(str(tmp_path), Path("unused")).fingerprint != before


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("nowhere", r"data must be a folder of images or digits, .*'nowhere' is no folder"),
        ("digit", r"did you mean digits\?"),
        ("image-folder", r"'image-folder' is no folder"),
        ("file.txt", r"'file.txt' is a file"),
    ],
)
def test_what_is_no_data_is_named(
    data: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(DataError, match=message):
        outline_of(data, tmp_path)


def test_too_few_images_are_refused_by_class(tmp_path: Path) -> None:
    write_tree(tmp_path, {"train": 20, "test": 2}, CLASSES)
    for number in range(15):
        (tmp_path / "train" / "dog" / f"dog_{number}.JPEG").unlink()
    with pytest.raises(
        RequestError, match=r"class 'dog' has 5 training images .* needs 10 of each"
    ):
        make_plan(Request(str(tmp_path), 1.0))


def test_images_are_found_however_deep(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "notes.txt", "deep/er/c.jpeg", ".hidden.png", ".git/d.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    found = [str(path.relative_to(tmp_path)) for path in image_files_below(tmp_path)]
    assert found == ["a.JPG", "b.png", "deep/er/c.jpeg"]
