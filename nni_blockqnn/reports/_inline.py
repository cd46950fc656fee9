"""Figures as SVG inside an HTML page."""

from __future__ import annotations

import re
from io import StringIO

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.figure import Figure

from nni_blockqnn.reports._charts import GRID_COLOUR
from nni_blockqnn.reports.drawing import LINE_COLOUR, SVG_SETTINGS

_THEME = {LINE_COLOUR: "var(--line)", GRID_COLOUR: "var(--grid)"}
"""Colours that the page sets, one way for light and one for dark screens."""
_IMAGE_DPI = 160
"""Of what a figure stores as an image."""
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def inline_svg(figure: Figure, description: str, scale: float = 1.0) -> Markup:
    """The figure as an ``<svg>`` element without a background, which the page's style colours.

    Args:
        description: what screen readers say.
        scale: of the figure's own size, on the page.
    """
    figure.patch.set_visible(False)
    text = StringIO()
    with rc_context(SVG_SETTINGS):
        figure.savefig(text, format="svg", metadata=_NO_METADATA, dpi=_IMAGE_DPI)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)  # it would style the whole page
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # not unique among several figures
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    for colour, variable in _THEME.items():
        svg = svg.replace(colour, variable)
    width, height = (length * 72 * scale for length in figure.get_size_inches())
    svg = re.sub(
        r'width="[^"]*" height="[^"]*"',
        f'width="{width:.0f}pt" height="{height:.0f}pt"',
        svg,
        count=1,
    )
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{escape(description)}"', 1))
