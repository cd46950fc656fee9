"""Short and final trainings of one network."""

from nni_blockqnn.training.arguments import TrainingArguments
from nni_blockqnn.training.checkpoint import Checkpoint
from nni_blockqnn.training.device import (
    PRECISIONS,
    check_precision,
    default_precision,
    pick_device,
)
from nni_blockqnn.training.distributed import ALONE, World, joined
from nni_blockqnn.training.errors import TrainingError
from nni_blockqnn.training.evaluation import evaluate, evaluate_task
from nni_blockqnn.training.loop import train
from nni_blockqnn.training.recipe import EARLY_STOP, FINAL, IMAGENET_FINAL, RECIPES, Recipe
from nni_blockqnn.training.results import EpochResult, TrainingResult

__all__ = [
    "ALONE",
    "EARLY_STOP",
    "FINAL",
    "IMAGENET_FINAL",
    "PRECISIONS",
    "RECIPES",
    "Checkpoint",
    "EpochResult",
    "Recipe",
    "TrainingArguments",
    "TrainingError",
    "TrainingResult",
    "World",
    "check_precision",
    "default_precision",
    "evaluate",
    "evaluate_task",
    "joined",
    "pick_device",
    "train",
]
