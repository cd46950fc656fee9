"""A recipe of one's own: SGD with a short schedule, for trials that must be quick.

In this folder, one trial with it:

    python -m nni_blockqnn.trial --block residual --dataset digits --limit 300 --epochs 1 \
        --recipe recipes:quick_sgd

`blockqnn train` and `blockqnn pilot --final-recipe` take it, too. For a search, put
`--recipe recipes:quick_sgd` into `trialCommand` and this folder's path into `trialCodeDirectory`;
NNI starts trials there. `--epochs`, `--learning-rate` and the like change it as any other recipe.
"""

from __future__ import annotations

from nni_blockqnn.training import Recipe


def quick_sgd() -> Recipe:
    """Six epochs, a tenth of the learning rate after the fourth and the fifth."""
    return Recipe(
        epochs=6,
        batch_size=128,
        optimizer="sgd",
        learning_rate=0.05,
        milestones=(4, 5),
        momentum=0.9,
        weight_decay=5e-4,
        augment=True,
        restarts=1,
    )
