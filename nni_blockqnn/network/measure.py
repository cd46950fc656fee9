"""What a network is judged by: a name, a unit, and which way is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nni_blockqnn.common.checks import is_number

Direction = Literal["maximize", "minimize"]
_TEXTS = ("label", "unit")


@dataclass(frozen=True)
class Measure:
    """One number that is measured on images.

    Attributes:
        name: its key in metrics and in ``network.json``, such as "mean_iou".
        label: for people, such as "mean IoU"; default the name without underscores.
        unit: such as "%" (default) or "pixels"; empty for none.
        direction: "maximize" (default) or "minimize".
        always: whether it is known of all data sets; a reward needs one that is. Default True.
    """

    name: str
    label: str = ""
    unit: str = "%"
    direction: Direction = "maximize"
    always: bool = True

    @property
    def title(self) -> str:
        return self.label or self.name.replace("_", " ")

    @property
    def heading(self) -> str:
        """The title with a capital: "Mean IoU"."""
        return self.title[:1].upper() + self.title[1:]

    @property
    def axis(self) -> str:
        """For an axis, or the head of a column: "accuracy (%)"."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def score_axis(self) -> str:
        """Likewise, where scores are drawn: of an error the negative."""
        return self.axis if self.direction == "maximize" else f"negative {self.axis}"

    def score(self, value: float) -> float:
        """The value turned so that more is better; and the value again of a score."""
        return -value if self.direction == "minimize" else value

    def text(self, score: float) -> str:
        """A score as people read it, in the measure's own direction: "97.92 %", "0.03152 m"."""
        return f"{self.number(self.score(score))} {self.unit}".rstrip()

    def number(self, value: float) -> str:
        """A value without its unit: two decimals of percents, four digits of what has any size."""
        return f"{value:.2f}" if self.unit == "%" else f"{value:.4g}"

    def to_json(self) -> dict[str, str]:
        """What the final metric says of it (docs/metrics.md)."""
        return {name: value for name, value in asdict(self).items() if name != "always"} | {
            "label": self.title
        }


ACCURACY = Measure("accuracy")
"""What classification is judged by, and whatever does not say."""


def measure_of(metric: Mapping[str, Any]) -> Measure:
    """What the `accuracy` of a final metric or of ``network.json`` stands for.

    A trial of the user's own may say anything there: what is no measure is accuracy.
    """
    said = metric.get("measure")
    if not isinstance(said, Mapping) or not isinstance(said.get("name"), str):
        return ACCURACY
    label, unit = (text if isinstance(text := said.get(name), str) else "" for name in _TEXTS)
    minimized = said.get("direction") == "minimize"
    return Measure(said["name"], label, unit, "minimize" if minimized else "maximize")


def shown_score(metric: Mapping[str, Any], name: str) -> str | None:
    """A score of a metric or of ``network.json``, as people read it; None if it has none."""
    value = metric.get(name)
    return measure_of(metric).text(value) if is_number(value) else None
