"""How long and with what a network is trained (BlockQNN, arXiv 1708.05552, Sections 4.2 and 5)."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, replace
from typing import Any

from nni_blockqnn.common.checks import is_integer, is_number
from nni_blockqnn.common.messages import alternatives, shown
from nni_blockqnn.common.plugins import is_reference, load_object

OPTIMIZERS = ("adam", "sgd")


@dataclass(frozen=True)
class Recipe:
    """Settings of a training.

    Attributes:
        epochs: passes over the training set.
        batch_size: images a step.
        optimizer: "adam", which reads `betas` and `eps`, or "sgd", which reads `momentum`.
        learning_rate: of the first epoch.
        milestones: epochs after each of which the learning rate is multiplied by `factor`, in
            ascending order; default none.
        factor: default 0.1.
        betas: decay rates of Adam's two moments; default 0.9 and 0.999.
        eps: added to Adam's denominator; default 1e-8.
        momentum: default 0.9.
        weight_decay: L2 penalty; default 0.
        augment: random crops with a padding of 4 pixels, and horizontal flips; of streamed images,
            crops of random size and shape, and horizontal flips. Default False.
        restarts: how often at most to start anew if the first epoch was not better than chance;
            default 0.
        restart_factor: multiplies the learning rate at each such restart; default 0.4.

    Raises:
        ValueError: naming the field, its value and what is allowed.
    """

    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    milestones: tuple[int, ...] = ()
    factor: float = 0.1
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum: float = 0.9
    weight_decay: float = 0.0
    augment: bool = False
    restarts: int = 0
    restart_factor: float = 0.4

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(
                f"optimizer must be {alternatives(OPTIMIZERS)}, got {shown(self.optimizer)}"
            )
        for name, lowest in (("epochs", 1), ("batch_size", 1), ("restarts", 0)):
            value = getattr(self, name)
            if not is_integer(value) or value < lowest:
                raise ValueError(f"{name} must be at least {lowest}, got {shown(value)}")
        for name in ("learning_rate", "factor", "restart_factor"):
            value = getattr(self, name)
            if not is_number(value) or value <= 0:
                raise ValueError(f"{name} must be positive, got {shown(value)}")
        if not is_number(self.weight_decay) or self.weight_decay < 0:
            raise ValueError(f"weight_decay must be at least 0, got {shown(self.weight_decay)}")
        if not is_number(self.momentum) or not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be from 0 to below 1, got {shown(self.momentum)}")
        positive = all(is_integer(milestone) and milestone >= 1 for milestone in self.milestones)
        if not positive or list(self.milestones) != sorted(self.milestones):
            raise ValueError(
                f"milestones must be epochs from 1 in ascending order, got {shown(self.milestones)}"
            )

    @property
    def identity(self) -> dict[str, Any]:
        """The fields that are not at their default, as JSON values.

        A field that a later version adds changes the identity of no recipe before it.
        """
        defaults = RECIPE_DEFAULTS
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if name not in defaults or value != defaults[name]
        }

    def shortened(self, epochs: int) -> Recipe:
        """The recipe with other epochs, its milestones moved in proportion.

        Each is rounded to the nearest epoch, halves to the even one; those that come to lie before
        the first or after the last epoch are dropped, and two on one epoch both count.

        Raises:
            ValueError: if epochs is not positive.
        """
        moved = (round(milestone * epochs / self.epochs) for milestone in self.milestones)
        return replace(self, epochs=epochs, milestones=tuple(m for m in moved if 1 <= m < epochs))


RECIPE_DEFAULTS = {
    field.name: field.default for field in fields(Recipe) if field.default is not MISSING
}
"""What :attr:`Recipe.identity` leaves out."""

EARLY_STOP = Recipe(
    epochs=12,
    batch_size=256,
    optimizer="adam",
    learning_rate=0.001,
    milestones=(5, 10),
    factor=0.2,
    restarts=3,
)
"""For the trials of a search (Section 4.2)."""

FINAL = Recipe(
    epochs=300,
    batch_size=128,
    optimizer="sgd",
    learning_rate=0.1,
    milestones=(150, 225),
    weight_decay=5e-4,
    augment=True,
)
"""For blocks that were found, on CIFAR (Section 5)."""

IMAGENET_FINAL = replace(FINAL, epochs=90, batch_size=256, milestones=(30, 60), weight_decay=1e-4)
"""The same on ImageNet."""

FINAL_PLAIN = replace(FINAL, augment=False)
"""The same for images that a crop or a flip would spoil, such as digits of 8x8 pixels."""

KEY_POINTS_FINAL = Recipe(
    epochs=140,
    batch_size=32,
    optimizer="adam",
    learning_rate=0.001,
    milestones=(90, 120),
    augment=True,
)
"""For heat maps of key points (Xiao et al., arXiv 1804.06208, with a quarter of the batch)."""

RECIPES = {
    "early-stop": EARLY_STOP,
    "final": FINAL,
    "final-plain": FINAL_PLAIN,
    "imagenet-final": IMAGENET_FINAL,
    "keypoints-final": KEY_POINTS_FINAL,
}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name in `RECIPES`, or the one that ``module:function`` returns.

    Raises:
        ValueError: if there is no such recipe, or the function does not return one.
    """
    if name in RECIPES:
        return RECIPES[name]
    if not is_reference(name):
        allowed = alternatives([*RECIPES, "module:function"])
        raise ValueError(f"recipe must be {allowed}, got {shown(name)}")
    make = load_object(name, "a recipe")
    try:
        recipe = make()
    except Exception as error:  # whatever a user's own code raises
        raise ValueError(f"recipe {name} failed: {type(error).__name__}: {error}") from error
    if not isinstance(recipe, Recipe):
        raise ValueError(f"recipe {name} must return a Recipe, got {shown(recipe)}")
    return recipe
