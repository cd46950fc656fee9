"""What a pilot trains, and by which settings its folder knows it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.calibration.pilot_blocks import spread_blocks
from nni_blockqnn.commands._pilot_trainings import PilotTraining, pilot_trainings
from nni_blockqnn.network.spec import NetworkSpec
from nni_blockqnn.space.limits import Limits
from nni_blockqnn.space.search_space import SearchSpace
from nni_blockqnn.training import Recipe, TrainingArguments
from nni_blockqnn.training.arguments import RECIPE_FIELDS
from nni_blockqnn.training.recipe import RECIPE_DEFAULTS


class PilotPlan(NamedTuple):
    """What a pilot trains.

    Attributes:
        blocks: how many in all.
        space: with the single N of ``spec``.
        training: data, seed and device of both trainings, with the early-stop recipe.
        final_recipe: name of the other one.
    """

    blocks: int
    spec: NetworkSpec
    space: SearchSpace
    limits: Limits
    training: TrainingArguments
    early: Recipe
    final: Recipe
    final_recipe: str

    def settings(self) -> dict[str, Any]:
        """All that the results depend on, but for the number of blocks, under the options' names.

        What is at its default may be left out.
        """
        identity = self.training.identity
        settings = {name: identity[name] for name in identity if name not in RECIPE_FIELDS}
        settings |= {"max_layers": self.space.max_layers, **self.limits._asdict()}
        settings |= {"network": asdict(self.spec), "final_recipe": self.final_recipe}
        for kind, recipe in (("early", self.early), ("final", self.final)):
            settings |= {f"{kind}-{name}": value for name, value in recipe.identity.items()}
        return _as_options(settings)

    @staticmethod
    def defaults() -> dict[str, Any]:
        """The values of settings that are left out."""
        defaults = {
            name: value
            for name, value in TrainingArguments.DEFAULTS.items()
            if name not in RECIPE_FIELDS
        }
        for kind in ("early", "final"):
            defaults |= {f"{kind}-{name}": value for name, value in RECIPE_DEFAULTS.items()}
        return _as_options(defaults)

    def trainings(self, found: Sequence[str]) -> list[PilotTraining]:
        """Those of the blocks that the pilot has, and of as many new ones as are wanted."""
        seed = self.training.seed
        kept = [Block.parse(codes, encoding=self.space.encoding) for codes in found]
        rng = np.random.default_rng([seed, len(kept)] if kept else seed)
        blocks = spread_blocks(self.space, self.blocks, rng, self.limits, kept)
        return pilot_trainings(blocks, self.spec, self.early, self.final, seed)


def _as_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "-"): value for name, value in settings.items()}
