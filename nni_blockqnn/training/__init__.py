"""Short and final trainings of one network on one device."""

from nni_blockqnn.training.batches import evaluate
from nni_blockqnn.training.checkpoint import Checkpoint
from nni_blockqnn.training.device import pick_device
from nni_blockqnn.training.errors import TrainingError
from nni_blockqnn.training.loop import EpochResult, TrainingResult, train
from nni_blockqnn.training.recipe import EARLY_STOP, FINAL, IMAGENET_FINAL, RECIPES, Recipe

__all__ = [
    "EARLY_STOP",
    "FINAL",
    "IMAGENET_FINAL",
    "RECIPES",
    "Checkpoint",
    "EpochResult",
    "Recipe",
    "TrainingError",
    "TrainingResult",
    "evaluate",
    "pick_device",
    "train",
]
