"""Figures as SVG inside an HTML page, and what they say of the points that one points at."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from io import StringIO
from typing import Any

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.figure import Figure

from nni_blockqnn.reports import _plot as plot
from nni_blockqnn.reports._idle import IDLE_COLOUR
from nni_blockqnn.reports.drawing import SVG_SETTINGS

_THEME = {
    plot.LINE_COLOUR: "var(--line)",
    plot.GRID_COLOUR: "var(--grid)",
    plot.SHADE_COLOUR: "var(--shade)",
    plot.POINT_COLOUR: "var(--point)",
    plot.BEST_COLOUR: "var(--best)",
    plot.MEAN_COLOUR: "var(--mean)",
    plot.START_COLOUR: "var(--start)",
    plot.SECOND_COLOUR: "var(--second)",
    plot.RANDOM_COLOUR: "var(--random)",
    IDLE_COLOUR: "var(--idle)",
}
"""Colours that the page sets, one way for light and one for dark screens."""
_IMAGE_DPI = 160
"""Of what a figure stores as an image."""
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_LONG_FRACTION = re.compile(r"(\d\.\d\d)\d+")


def inline_svg(figure: Figure, description: str) -> Markup:
    """The figure as an ``<svg>`` element without a background, which the page's style colours.

    Args:
        description: what screen readers say.
    """
    figure.patch.set_visible(False)
    text = StringIO()
    with rc_context(SVG_SETTINGS):
        figure.savefig(text, format="svg", metadata=_NO_METADATA, dpi=_IMAGE_DPI)
    figure.patch.set_visible(True)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)  # it would style the whole page
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # not unique among several figures
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r' d="[^"]*"', lambda found: _LONG_FRACTION.sub(r"\1", found[0]), svg)
    for colour, variable in _THEME.items():
        svg = svg.replace(colour, variable)
    width, height = (length * 72 for length in figure.get_size_inches())
    svg = re.sub(
        r'width="[^"]*" height="[^"]*"',
        f'width="{width:.0f}pt" height="{height:.0f}pt"',
        svg,
        count=1,
    )
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{escape(description)}"', 1))


def hover_json(figure: Figure, hovers: Sequence[plot.Hover]) -> Markup:
    """The points of a drawn figure for the page's script: x, y in thousandths of it, and texts."""
    if not hovers:
        return Markup()
    width, height = figure.bbox.width, figure.bbox.height
    axes = figure.axes[0]
    places = axes.transData.transform([(one.x, one.y) for one in hovers])
    points = [
        [round(1000 * x / width, 1), round(1000 - 1000 * y / height, 1), one.says]
        for (x, y), one in zip(places.tolist(), hovers, strict=True)
        if 0 <= x <= width and 0 <= y <= height
    ]
    return json_in_page(points)


def json_in_page(value: Any) -> Markup:
    """JSON text that cannot end the ``<script>`` element in which it stands."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
