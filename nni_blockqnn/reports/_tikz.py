"""A block's picture as TikZ, to be set in the paper's own type."""

from __future__ import annotations

from itertools import pairwise

from nni_blockqnn.reports._layout import Point
from nni_blockqnn.reports._shapes import Drawing, Shape

_HEAD = r"""\documentclass[tikz]{standalone}
\begin{document}
"""
_FOOT = r"""\end{document}
"""


def tikz_text(drawing: Drawing, title: str | None = None) -> str:
    """A document of its own; its ``tikzpicture`` can be taken over into another one.

    It needs TikZ alone. Lengths are in inches, so ``[scale=0.5]`` halves the picture.
    """
    fills = sorted({box.fill for box in drawing.boxes})
    names = {fill: f"block{fill[1:].upper()}" for fill in fills}
    lines = [
        r"\begin{tikzpicture}[x=1in, y=-1in,",
        "  layer/.style={draw=black!65, line width=0.5pt, inner sep=0pt, font=\\small\\sffamily},",
        "  idle/.style={dashed, text=black!55},",
        "  arrow/.style={draw=black!65, line width=0.6pt, ->, >=stealth}]",
        *(rf"\definecolor{{{names[fill]}}}{{HTML}}{{{fill[1:].upper()}}}" for fill in fills),
    ]
    if title:
        lines.append(
            rf"\node[font=\sffamily, anchor=south] at ({_n(drawing.width / 2)},-0.12) "
            rf"{{{_escaped(title)}}};"
        )
    tips = zip(drawing.lines, drawing.heads, strict=True)
    lines += [_arrow((*corners[:-1], tip)) for corners, tip in tips]
    lines += [_node(box, names[box.fill]) for box in drawing.boxes]
    return _HEAD + "\n".join([*lines, r"\end{tikzpicture}"]) + "\n" + _FOOT


def _arrow(corners: tuple[Point, ...]) -> str:
    x, y = corners[0]
    path = f"({_n(x)},{_n(y)})"
    for number, ((x, y), (to_x, to_y)) in enumerate(pairwise(corners)):
        if number % 2:
            path += f" -- ({_n(to_x)},{_n(to_y)})"
        else:
            middle = _n((y + to_y) / 2)
            path += (
                f" .. controls ({_n(x)},{middle}) and ({_n(to_x)},{middle}) .. "
                f"({_n(to_x)},{_n(to_y)})"
            )
    return rf"\draw[arrow] {path};"


def _node(box: Shape, fill: str) -> str:
    idle = ", idle" if box.is_idle else ""
    options = (
        f"layer{idle}, fill={fill}, rounded corners={_n(box.radius)}in, "
        f"minimum width={_n(box.width)}in, minimum height={_n(box.height)}in"
    )
    node = rf"\node[{options}] at ({_n(box.x)},{_n(box.y)}) {{{_escaped(box.name)}}};"
    if box.number:
        left = _n(box.x - box.width / 2 + 0.04)
        node += (
            rf" \node[anchor=west, inner sep=0pt, font=\tiny\sffamily] at ({left},{_n(box.y)}) "
            rf"{{{box.number}}};"
        )
    return node


def _n(length: float) -> str:
    return f"{length:.3f}".rstrip("0").rstrip(".")


def _escaped(text: str) -> str:
    special = {
        "\\": r"\textbackslash{}",
        "×": r"$\times$",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
    }
    special |= {character: f"\\{character}" for character in "&%$#_{}"}
    return "".join(special.get(character, character) for character in text)
