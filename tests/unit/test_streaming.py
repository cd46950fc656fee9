"""Images that stay in their files: ImageNet's layout, batches out of it, trainings on it."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from jpegs import write_tree
from PIL import Image
from streamed_images import (
    CPU,
    SIZE,
    SMALL,
    batches_of,
    command,
    described,
    loaded,
    split_of_images,
)
from torch import Tensor, nn

from nni_blockqnn.commands._training_display import TrainingDisplay
from nni_blockqnn.data import DataError, ImageData, StreamedSplit, load_dataset
from nni_blockqnn.data.imagenet import MEAN, STD
from nni_blockqnn.training import (
    FINAL,
    Checkpoint,
    EpochResult,
    Recipe,
    TrainingResult,
    evaluate,
    train,
)
from nni_blockqnn.training.streaming import centre_crop
from nni_blockqnn.trials import training, training_folder

RECIPE = Recipe(epochs=3, batch_size=8, optimizer="sgd", learning_rate=0.05, augment=True)


class Killed(BaseException):
    """Stands for the process's end."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("imagenet")
    write_tree(root, {"train": 9, "val": 4}, ["ant", "bee", "cat"])
    return root


def small_network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    )


def trained(data: ImageData, seed: int = 1, **options: object) -> TrainingResult:
    return train(small_network, data, RECIPE, device=CPU, seed=seed, **options)


def weights_of(result: TrainingResult) -> Tensor:
    return torch.cat([value.flatten().float() for value in result.network.state_dict().values()])


# --- the data set -----------------------------------------------------------------------------


def pixels(split: object) -> list[bytes]:
    """Of the centres; all noise, so that they identify the images."""
    return [
        image.numpy().tobytes() for images, _ in batches_of(split).in_order(4) for image in images
    ]


def test_validation_is_held_out_of_train_and_val_is_the_test_set(tree: Path) -> None:
    data = loaded(tree, validation_fraction=1 / 3, classes=3)
    assert data.train.labels.bincount().tolist() == [6, 6, 6]
    assert data.valid.labels.bincount().tolist() == [3, 3, 3]
    assert data.test.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert (data.classes, data.class_names) == (3, ("ant", "bee", "cat"))
    assert (data.image_shape, data.mean, data.std) == ((3, SIZE, SIZE), MEAN, STD)
    seen = [set(pixels(split)) for split in (data.train, data.valid, data.test)]
    assert [len(images) for images in seen] == [18, 9, 12]
    assert len(set.union(*seen)) == 39


def test_hold_out_and_limit_follow_the_seed_as_for_other_data(tree: Path) -> None:
    first, again, other = (
        pixels(loaded(tree, seed=seed, validation_fraction=1 / 3).valid) for seed in (0, 0, 1)
    )
    assert first == again != other
    limited = loaded(tree, limit=12, validation_fraction=0.25)
    assert (len(limited.train), len(limited.valid), len(limited.test)) == (9, 3, 12)
    everything = loaded(tree, validation="test")
    assert len(everything.train) == 27
    assert everything.valid is everything.test


def test_what_is_wrong_with_the_folders_is_named(tmp_path: Path) -> None:
    def message(**options: object) -> str:
        with pytest.raises(DataError) as error:
            loaded(tmp_path / "data", **options)
        assert "\n" not in str(error.value)
        return str(error.value)

    root = tmp_path / "data"
    assert f"no directory {root}: expected DIR/train/CLASS/image.JPEG" in message()
    (root / "train").mkdir(parents=True)
    (root / "val").mkdir()
    assert f"no class folders in {root / 'train'}" in message()
    write_tree(root, {"train": 2}, ["ant", "bee"])
    (root / "val" / "ILSVRC2012_val_00000001.JPEG").touch()  # as the archive unpacks
    assert f"no class folders in {root / 'val'}" in message()
    assert "with the archives of ILSVRC2012 in DIR, torchvision.datasets.ImageNet" in message()
    write_tree(root, {"val": 1}, ["ant"])
    assert f"{root / 'val'} lacks the class 'bee'" in message()
    (root / "val" / "bee").mkdir()
    assert f"no images in {root / 'val' / 'bee'}" in message()
    write_tree(root, {"other": 1}, ["bee"])
    (root / "other" / "bee" / "bee_0.JPEG").rename(root / "val" / "bee" / "bee_0.JPEG")
    assert "classes=1000 but the data imagenet has 2: set network to" in message(classes=1000)
    assert "set its channels to 3" in message(image_shape=(1, SIZE, SIZE))
    assert "workers must be at least 0, got -1" in message(workers=-1)


def test_names_of_files_may_be_of_any_bytes(tmp_path: Path) -> None:
    write_tree(tmp_path, {"train": 2, "val": 1}, ["été", "hiver"])
    odd = tmp_path / "train" / "été" / os.fsdecode(b"\xff odd name that is longer.jpeg")
    (tmp_path / "train" / "été" / "été_0.JPEG").rename(odd)
    assert len(set(pixels(loaded(tmp_path, validation="test").train))) == 4


def test_the_images_watched_are_of_all_classes(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "WATCHED_IMAGES", 9)
    for split in (loaded(tree).train, load_dataset("digits", None).train):
        watched = training.watched_images(split)
        assert len(watched) == 9
        assert len(watched.labels.unique()) >= 3
    assert len(training.watched_images(loaded(tree, limit=6).train)) == 3


# --- batches ----------------------------------------------------------------------------------


def test_the_centre_is_cut_out_by_hand(tmp_path: Path) -> None:
    # for 14 pixels of 16, the image's shorter side: nothing is resized, and the cut begins at
    # (16 - 14) / 2 = 1 and (20 - 14) / 2 = 3
    own = np.arange(16 * 20 * 3).reshape(16, 20, 3) % 251
    image = Image.fromarray(own.astype(np.uint8))
    ((images, labels),) = batches_of(split_of_images(tmp_path, [image], 14)).in_order(4)
    assert images.shape == (1, 3, 14, 14)
    assert images.is_contiguous(memory_format=torch.channels_last)
    expected = torch.from_numpy(own[1:15, 3:17].transpose(2, 0, 1))
    assert torch.allclose(images[0], expected.float(), atol=1e-3)
    assert labels.tolist() == [0]


def test_224_pixels_are_cut_out_of_256_after_resizing(tmp_path: Path) -> None:
    # 512x1024 pixels become 256x512, whose columns 144 to 367 are cut out: 288 to 735 before
    image = Image.new("L", (1024, 512), 0)
    image.paste(200, (284, 0, 740, 512))  # four pixels more, which is how far the resizing looks
    assert np.asarray(centre_crop([224, 224])(image)).shape == (224, 224)
    ((images, _),) = batches_of(split_of_images(tmp_path, [image], 224)).in_order(1)
    assert images.round().unique().tolist() == [200]
    image.paste(0, (0, 0, 296, 512))
    ((images, _),) = batches_of(split_of_images(tmp_path, [image], 224)).in_order(1)
    assert images[0, 0, 0, 0] < 100
    assert images[0, 0, 0, 8].round() == 200


def test_grey_and_cmyk_become_rgb(tmp_path: Path) -> None:
    grey, cmyk = Image.new("L", (16, 16), 77), Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    cmyk.save(tmp_path / "1.tiff")
    split = split_of_images(tmp_path, [grey, Image.new("RGB", (16, 16))], 14)
    (tmp_path / "1.tiff").rename(tmp_path / "1.png")  # Pillow goes by the content
    ((images, _),) = batches_of(split).in_order(2)
    assert images[:, :, 5, 5].round().tolist() == [[77, 77, 77], [0, 255, 255]]


def test_training_images_are_random_pieces_flipped_or_not(tmp_path: Path) -> None:
    # brightness grows from left to right and from top to bottom
    ramp = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8) * 2
    split = split_of_images(tmp_path, [Image.fromarray(ramp)] * 40, SIZE)
    ((images, _),) = batches_of(split).shuffled(64, torch.Generator().manual_seed(0), True)
    assert images.shape == (40, 3, SIZE, SIZE)
    across = images[:, 0, 8, -1] - images[:, 0, 8, 0]
    down = images[:, 0, -1, 8] - images[:, 0, 0, 8]
    assert (down > 0).all()
    assert 10 <= int((across < 0).sum()) <= 30
    assert (across != 0).all()
    assert len(down.unique()) > 20, "pieces of many heights"


def test_an_epoch_follows_the_generator_whatever_the_workers(tree: Path) -> None:
    def epochs(workers: int) -> list[Tensor]:
        batches = batches_of(loaded(tree, workers).train)
        generator = torch.Generator().manual_seed(5)
        return [
            torch.cat([images.flatten(1).mul(labels[:, None] + 1) for images, labels in epoch])
            for epoch in (batches.shuffled(4, generator, True) for _ in range(2))
        ]

    alone, together = epochs(0), epochs(2)
    for ours, theirs in zip(alone, together, strict=True):
        assert torch.equal(ours, theirs)
    first, second = (set(map(bytes, epoch.numpy())) for epoch in alone)
    assert len(first) == 24
    assert not first & second, "another epoch sees other pieces"


def test_without_augmentation_an_epoch_has_the_centres_in_another_order(tree: Path) -> None:
    split = loaded(tree).train
    batches = list(batches_of(split).shuffled(5, torch.Generator().manual_seed(0), False))
    assert [len(labels) for _, labels in batches] == [5, 5, 5, 5, 4]
    shuffled = [image.numpy().tobytes() for images, _ in batches for image in images]
    assert shuffled != pixels(split)
    assert sorted(shuffled) == sorted(pixels(split))


def test_the_global_generator_is_left_as_it_was(tree: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    list(batches_of(loaded(tree).train).shuffled(8, torch.Generator(), True))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_ends_the_training_and_is_named(tmp_path: Path, workers: int) -> None:
    write_tree(tmp_path, {"train": 4, "val": 1}, ["ant", "bee"])
    broken = tmp_path / "train" / "bee" / "bee_2.JPEG"
    broken.write_bytes(broken.read_bytes()[:300])
    data = loaded(tmp_path, workers, validation="test")
    with pytest.raises(DataError, match=r"^imagenet: .*bee_2\.JPEG is not an image.*remove it$"):
        trained(data)


class Fatal(StreamedSplit):
    """Ends whoever reads it."""

    def read(self, position: int) -> Image.Image:
        os._exit(9)


def test_the_end_of_a_worker_says_what_to_do(tree: Path) -> None:
    split = loaded(tree, workers=1).test
    split.__class__ = Fatal
    with pytest.raises(DataError, match=r"shared memory .*--workers to fewer or 0 \(DataLoader"):
        list(batches_of(split).in_order(4))


# --- trainings --------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_with_any_number_of_workers(tree: Path) -> None:
    alone, together, other = (
        weights_of(trained(loaded(tree, workers), seed))
        for workers, seed in ((0, 1), (2, 1), (0, 2))
    )
    assert torch.equal(alone, together)
    assert not torch.equal(alone, other)


def test_a_resumed_training_ends_in_the_weights_of_an_uninterrupted_one(
    tree: Path, tmp_path: Path
) -> None:
    def kill(epoch: EpochResult) -> None:
        if epoch.epoch == 3:
            raise Killed

    data = loaded(tree)
    whole = trained(data)
    checkpoint = Checkpoint(tmp_path / "training.pt", "this", seconds_between=0)
    with pytest.raises(Killed):
        trained(data, on_epoch=kill, checkpoint=checkpoint)
    seen: list[EpochResult] = []
    resumed = trained(data, on_epoch=seen.append, checkpoint=checkpoint)
    assert [epoch.epoch for epoch in seen] == [3]
    assert torch.equal(weights_of(resumed), weights_of(whole))
    assert resumed.accuracy == whole.accuracy
    assert whole.accuracy == evaluate(whole.network, data.valid, MEAN, STD, device=CPU)


@pytest.mark.slow
def test_the_command_takes_imagenets_recipe_and_goes_on_with_other_workers(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_folder, "Checkpoint", partial(Checkpoint, seconds_between=0))
    network = SMALL | {"classes": 3}
    assert command(tree, network, tmp_path / "whole", "--workers", "0") == 0
    facts = described(tmp_path / "whole")
    assert facts["recipe"]["weight_decay"] == 1e-4 != FINAL.weight_decay
    assert facts["recipe"]["epochs"] == 2
    assert (tuple(facts["mean"]), facts["dataset"]) == (MEAN, "imagenet")
    assert facts["test_accuracy"] is None
    assert "top5_accuracy" not in facts

    update = TrainingDisplay.update

    def interrupted(display: TrainingDisplay, epoch: EpochResult) -> None:
        update(display, epoch)
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TrainingDisplay, "update", interrupted)
        assert command(tree, network, tmp_path / "stopped", "--workers", "0") == 130
    assert command(tree, network, tmp_path / "stopped", "--workers", "2") == 0
    resumed = described(tmp_path / "stopped")
    assert resumed["weights_sha256"] == facts["weights_sha256"]
