"""Small images that stay in their files, and the command that trains on them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from nni_blockqnn.cli import main
from nni_blockqnn.data import ImageData, StreamedSplit, load_dataset
from nni_blockqnn.data._class_folders import ClassFolders
from nni_blockqnn.training.streaming import StreamedBatches

CPU = torch.device("cpu")
SIZE = 16
SMALL = {"preset": "imagenet", "input_shape": [3, SIZE, SIZE], "filters": [4], "repeats": 1}


def loaded(root: Path, workers: int = 0, **options: object) -> ImageData:
    arguments = {"image_shape": (3, SIZE, SIZE), "workers": workers} | options
    return load_dataset("imagenet", root, **arguments)


def batches_of(split: object) -> StreamedBatches:
    assert isinstance(split, StreamedSplit)
    return StreamedBatches(split, (0.0,) * 3, (1 / 255,) * 3, CPU)  # floats of 0 to 255


def split_of_images(folder: Path, images: list[Image.Image], size: int) -> StreamedSplit:
    """Stored as PNGs, without loss."""
    folder.mkdir(exist_ok=True)
    for number, image in enumerate(images):
        image.save(folder / f"{number}.png")
    names = np.array([os.fsencode(f"{number}.png") for number in range(len(images))])
    labels = torch.zeros(len(images), dtype=torch.int64)
    return StreamedSplit(ClassFolders("test", ""), folder, names, labels, (3, size, size), 0)


def command(root: Path, network: dict, output: Path, *arguments: str) -> int:
    data = ("--dataset", "imagenet", "--data-dir", str(root), "--network", json.dumps(network))
    options = ("--epochs", "2", "--batch-size", "8", "--threads", "1", "--output", str(output))
    return main(["train", "[[1,1,3,0,0]]", *data, *options, *arguments])


def described(folder: Path) -> dict:
    return json.loads((folder / "network.json").read_text())
