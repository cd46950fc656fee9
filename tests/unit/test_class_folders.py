"""Folders of classes as users have them: other files in between, odd names, missing splits."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
import torch
from class_folders import both, loaded, refusal, write_class, write_splits
from PIL import Image

from nni_blockqnn.data import DataError
from nni_blockqnn.data._class_names import near_pairs, nearest
from nni_blockqnn.exchange.trial_check import Request
from nni_blockqnn.trials._rehearsal import rehearse


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNI_BLOCKQNN_CACHE", str(tmp_path_factory.mktemp("cache")))


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
