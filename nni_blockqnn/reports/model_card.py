"""The model card of an exported network: README.md with the block drawn beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from nni_blockqnn.common.files import write_whole
from nni_blockqnn.common.messages import shown
from nni_blockqnn.export import FORMATS, Exported
from nni_blockqnn.network.cost import estimate_cost
from nni_blockqnn.network.measure import ACCURACY, measure_of, shown_score
from nni_blockqnn.reports.drawing import draw_image
from nni_blockqnn.training.streaming import shorter_side

_VALIDATIONS = {
    "accuracy": "validation accuracy, last epoch",
    "best_accuracy": "validation accuracy, best epoch",
    "best_balanced_accuracy": "validation accuracy, mean of the classes, best epoch",
    "top5_accuracy": "validation top-5 accuracy, last epoch",
    "best_top5_accuracy": "validation top-5 accuracy, best epoch",
}
_TESTS = {
    "test_accuracy": "test accuracy",
    "test_balanced_accuracy": "test accuracy, mean of the classes",
    "test_top5_accuracy": "test top-5 accuracy",
}
_SETTINGS = {
    "dataset": "data set",
    "validation": "validated on",
    "limit": "limit of images",
    "seed": "seed",
    "epoch": "weights of epoch",
    "precision": "precision of the arithmetic",
    "micro_batch": "images at a time (micro-batch)",
    "processes": "processes that shared the training",
}
_ORIGIN = {
    "weights_sha256": "began with the weights of SHA-256",
    "dataset": "those had learnt",
    "block": "in a network of the block",
}
_FRAMES = {
    "stack": "blocks in sequence",
    "residual": "a short-cut around each block",
    "upsample": "the same blocks downwards and back up, the maps of equal size added, a 1x1 "
    "convolution at the end",
    "nin": "two 1x1 convolutions behind each stage, a 1x1 convolution instead of a linear layer",
}
_OWN = {"adam": ("betas", "eps"), "sgd": ("momentum",)}
"""Settings of a recipe that only one optimizer reads."""
_MOST_CLASSES, _MOST_ROWS, _LONGEST = 20, 50, 100


def write_model_card(exported: Exported, folder: Path) -> None:
    """Write README.md and block.svg: what the network is, how to load it, where it comes from."""
    description, facts = exported.description, exported.description.facts
    environment = Environment(  # of Markdown, where `code` escapes
        loader=PackageLoader("nni_blockqnn.reports", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = code
    names = description.class_names
    card = environment.get_template("model_card.md").render(
        block=description.block,
        spec=description.spec,
        cost=estimate_cost(description.block, description.spec),
        dataset=facts.get("dataset"),
        task=facts.get("task"),
        accuracies=_accuracies(facts),
        unvalidated=_unvalidated(facts),
        settings=_settings(facts),
        recipe=_rows(_read_by_the_optimizer(facts.get("recipe"))),
        versions=_rows(facts.get("versions")),
        class_names=[code(name) for name in names[:_MOST_CLASSES]],
        unnamed=max(0, len(names) - _MOST_CLASSES),
        shorter_side=shorter_side(description.spec.input_shape[1:]),
        normalisation=list(zip(description.mean, description.std, strict=True)),
        weights_sha256=description.weights_sha256,
        differences=exported.differences,
        rounding=exported.rounding,
        frame=_FRAMES[description.spec.frame],
        files=FORMATS,
    )
    write_whole(folder / "README.md", card)
    draw_image(description.block, folder / "block.svg")


def code(value: Any) -> str:
    """The value as a code span of Markdown, in which nothing of it means anything else.

    Texts come from data sets and files: backticks and bars become other characters, line breaks
    spaces, what does not print question marks; long ones are cut.
    """
    text = value[: 2 * _LONGEST] if isinstance(value, str) else shown(value, _LONGEST)
    text = " ".join(text.split()).replace("`", "'").replace("|", "/")
    text = "".join(character if character.isprintable() else "?" for character in text)
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 3]}..."
    return f"`{text or ' '}`"


def _unvalidated(facts: Mapping[str, Any]) -> bool:
    """Whether no image was held out, nor the test set looked at before the end."""
    return facts.get("validation") == "test" and facts.get("accuracy") is None


def _accuracies(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    names = _TESTS if _unvalidated(facts) else _VALIDATIONS | _TESTS
    on = "test-set" if facts.get("validation") == "test" else "validation"
    rows = [
        (what.replace("validation", on), shown_score(facts, name) or "not measured")
        for name, what in names.items()
        if name in facts or not ("top5" in name or "balanced" in name)
    ]
    if (measure := measure_of(facts)) == ACCURACY:
        return rows
    title = " ".join(measure.title.split()).replace("|", "/")
    return [(what.replace("accuracy", title), text) for what, text in rows]


def _settings(facts: Mapping[str, Any]) -> list[tuple[str, Any]]:
    left_out = {"validation"} if _unvalidated(facts) else set()
    if facts.get("processes") == 1:
        left_out.add("processes")
    rows = [(what, facts.get(name)) for name, what in _SETTINGS.items() if name not in left_out]
    origin = facts.get("init_from")
    if isinstance(origin, Mapping):
        rows += [(what, origin.get(name)) for name, what in _ORIGIN.items()]
    return [(what, value) for what, value in rows if value is not None]


def _read_by_the_optimizer(recipe: Any) -> Any:
    """The recipe without the settings of other optimizers."""
    if not isinstance(recipe, Mapping):
        return recipe
    own = _OWN.get(str(recipe.get("optimizer")), ())
    others = {name for names in _OWN.values() for name in names}.difference(own)
    return {name: value for name, value in recipe.items() if name not in others}


def _rows(mapping: Any) -> list[tuple[str, Any]]:
    return list(mapping.items())[:_MOST_ROWS] if isinstance(mapping, Mapping) else []
