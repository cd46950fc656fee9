"""How long and with what a network is trained (BlockQNN, arXiv 1708.05552, Sections 4.2 and 5)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nni_blockqnn.common.messages import alternatives, shown

OPTIMIZERS = ("adam", "sgd")


@dataclass(frozen=True)
class Recipe:
    """Settings of a training.

    Attributes:
        epochs: passes over the training set.
        batch_size: images a step.
        optimizer: "adam", which reads `betas` and `eps`, or "sgd", which reads `momentum`.
        learning_rate: of the first epoch.
        milestones: after so many epochs each, the learning rate is multiplied by `factor`.
        augment: random crops with a padding of 4 pixels, and horizontal flips; of streamed images,
            pieces of random size and shape, and horizontal flips.
        restarts: how often at most to start anew if the first epoch was not better than chance.
        restart_factor: multiplies the learning rate at each such restart.
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
            if getattr(self, name) < lowest:
                raise ValueError(
                    f"{name} must be at least {lowest}, got {shown(getattr(self, name))}"
                )
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {shown(self.learning_rate)}")

    def shortened(self, epochs: int) -> Recipe:
        """The recipe with other epochs, its milestones moved in proportion.

        Each is rounded to the nearest epoch, halves to the even one; those that come to lie before
        the first or after the last epoch are dropped, and two on one epoch both count.

        Raises:
            ValueError: if epochs is not positive.
        """
        moved = (round(milestone * epochs / self.epochs) for milestone in self.milestones)
        return replace(self, epochs=epochs, milestones=tuple(m for m in moved if 1 <= m < epochs))


EARLY_STOP = Recipe(
    epochs=12,
    batch_size=256,
    optimizer="adam",
    learning_rate=0.001,
    milestones=(5, 10),
    factor=0.2,
    restarts=3,
)
"""The search's (Section 4.2)."""

FINAL = Recipe(
    epochs=300,
    batch_size=128,
    optimizer="sgd",
    learning_rate=0.1,
    milestones=(150, 225),
    weight_decay=5e-4,
    augment=True,
)
"""CIFAR's, for the blocks that were found."""

IMAGENET_FINAL = replace(FINAL, epochs=90, batch_size=256, milestones=(30, 60), weight_decay=1e-4)
"""ImageNet's."""

RECIPES = {"early-stop": EARLY_STOP, "final": FINAL, "imagenet-final": IMAGENET_FINAL}
