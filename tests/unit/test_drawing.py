"""Pictures of blocks, read back as a viewer would."""

from __future__ import annotations

import html
import re
from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from drawn_blocks import BLOCKS, BRANCHES, RESIDUAL
from matplotlib.transforms import Bbox

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer import LayerType
from nni_blockqnn.cli import main
from nni_blockqnn.reports._idle import idle_layers
from nni_blockqnn.reports._labels import colour
from nni_blockqnn.reports._layout import Box, lay_out
from nni_blockqnn.reports._ordering import crossings, ordered_rows
from nni_blockqnn.reports._page import legend, picture, thumbnail
from nni_blockqnn.reports.drawing import arrow_curve, block_figure, draw_image, draw_text


def test_the_residual_block_as_text() -> None:
    assert draw_text(RESIDUAL).splitlines() == [
        "●       input",
        "●     1 identity",
        "├─●   2 3×3 conv      <- 1",
        "│ ●   3 3×3 conv      <- 2",
        "●─╯   4 +             <- 1, 3",
        "●       output        <- 4",
    ]


def test_the_branches_block_as_text() -> None:
    assert draw_text(BRANCHES).splitlines() == [
        "●         input",
        "●       1 identity",
        "├─●     2 1×1 conv      <- 1",
        "│ ●     3 3×3 conv      <- 2",
        "├─│─●   4 1×1 conv      <- 1",
        "│ │ ●   5 5×5 conv      <- 4",
        "│ ●─╯   6 concat        <- 3, 5",
        "● │     7 3×3 max pool  <- 1",
        "● │     8 1×1 conv      <- 7",
        "●─╯     9 concat        <- 6, 8",
        "●         output        <- 9",
    ]


def test_separate_layers_as_text() -> None:
    rows = [[1, 8, 0, 0, 0], [2, 1, 3, 1, 0], [3, 9, 0, 2, 0]]
    assert draw_text(Block.parse(rows, encoding="separate")).splitlines() == [
        "●     input",
        "●   1 ReLU",
        "●   2 3×3 conv      <- 1",
        "●   3 batch norm    <- 2",
        "●     output        <- 3",
    ]


def predecessors_in_the_lanes(picture: str) -> list[set[int]]:
    """For each line of the text, the lines whose lanes its knot joins, by the lines drawn alone."""
    flowing: dict[int, int] = {}  # what comes down in each column
    read = []
    for node, line in enumerate(picture.splitlines()):
        knot = line.index("●")
        sources = {flowing[knot]} if knot in flowing else set()
        ended = []
        for step in (1, -1):
            column = knot + step
            while 0 <= column < len(line) and line[column] in "─│├┤┼╰╯┴":
                if line[column] in "├┤┼╰╯┴":
                    sources.add(flowing[column])
                if line[column] in "╰╯┴":
                    ended.append(column)
                column += step
        for column in list(flowing):
            assert column in ended or line[column] in "│├┤┼●", f"the lane is torn: {line}"
        flowing = {c: source for c, source in flowing.items() if c not in ended} | {knot: node}
        read.append(sources)
    return read


@pytest.mark.parametrize("block", BLOCKS)
def test_the_lanes_of_the_text_are_the_graph(block: Block) -> None:
    graph = block.graph
    expected = [set(graph.predecessors(node)) for node in sorted(graph)]
    assert predecessors_in_the_lanes(draw_text(block)) == expected


def test_in_a_terminal_layers_have_their_colours_and_idle_ones_are_marked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert main(["draw", "residual"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "48;2;165;205;253" in lines[2]  # of the 3x3 convolution, #a5cdfd
    assert "3×3 conv" in lines[2]
    assert [number for number, line in enumerate(lines) if "does nothing" in line] == [1]
    monkeypatch.delenv("FORCE_COLOR")
    assert main(["draw", "residual"]) == 0
    assert capsys.readouterr().out.rstrip("\n") == draw_text(RESIDUAL)


def test_the_text_says_that_leaves_are_concatenated() -> None:
    block = Block.parse([[1, 1, 1, 0, 0], [2, 3, 3, 1, 0], [3, 4, 0, 1, 0]])
    assert draw_text(block).splitlines()[-1].endswith("output        <- 2, 3, concatenated")


def inside(box: Box) -> Bbox:
    """The box without its edge, where its own arrows touch it."""
    half_width, half_height = box.width / 2 - 1e-6, box.height / 2 - 1e-6
    return Bbox.from_extents(
        box.x - half_width, box.y - half_height, box.x + half_width, box.y + half_height
    )


@pytest.mark.parametrize("block", BLOCKS)
def test_no_arrow_runs_through_a_box(block: Block) -> None:
    layout = lay_out(block)
    for arrow, corners in layout.arrows.items():
        for node, box in layout.boxes.items():
            assert not arrow_curve(corners).intersects_bbox(inside(box), filled=False), (
                arrow,
                node,
            )


@pytest.mark.parametrize("block", BLOCKS)
def test_arrows_go_from_the_foot_of_a_box_to_the_head_of_its_reader(block: Block) -> None:
    layout = lay_out(block)
    assert set(layout.arrows) == set(block.graph.edges)
    for (source, reader), corners in layout.arrows.items():
        above, below = layout.boxes[source], layout.boxes[reader]
        assert corners[0] == (above.x, pytest.approx(above.y + above.height / 2))
        assert corners[-1][1] == pytest.approx(below.y - below.height / 2)
        assert abs(corners[-1][0] - below.x) < below.width / 2
    ends = [corners[-1] for corners in layout.arrows.values()]
    assert len(ends) == len(set(ends))


@pytest.mark.parametrize("block", BLOCKS)
def test_boxes_are_apart_and_inside_the_picture(block: Block) -> None:
    layout = lay_out(block)
    frame = Bbox.from_extents(-1e-9, -1e-9, layout.width + 1e-9, layout.height + 1e-9)
    boxes = [inside(box) for box in layout.boxes.values()]
    for number, box in enumerate(boxes):
        assert frame.contains(*box.min)
        assert frame.contains(*box.max)
        assert not box.count_overlaps(boxes[number + 1 :])
    for corners in layout.arrows.values():
        assert all(frame.contains(*corner) for corner in corners)


def test_a_chain_is_one_straight_line() -> None:
    chain = Block.parse([[1, 1, 1, 0, 0], [2, 1, 3, 1, 0], [3, 2, 3, 2, 0]])
    assert len({box.x for box in lay_out(chain).boxes.values()}) == 1


def test_a_shortcut_is_drawn_as_a_straight_lane_beside_the_convolutions() -> None:
    shortcut = lay_out(RESIDUAL).arrows[1, 4]
    assert len(shortcut) == 6  # past two rows
    assert len({x for x, _ in shortcut}) == 1


def test_rows_are_ordered_so_that_nothing_crosses_that_need_not() -> None:
    # two branches that depth-first order alone would leave crossed
    block = Block.parse(
        "[[1,4,0,0,0],[2,1,1,1,0],[3,1,3,1,0],[4,1,5,1,0],"
        "[5,5,0,2,4],[6,5,0,3,4],[7,2,3,6,0],[8,2,3,5,0]]"
    )
    edges = block.graph.copy()
    rows_of = {0: 0, 1: 1, 2: 2, 3: 2, 4: 2, 5: 3, 6: 3, 7: 4, 8: 4, 9: 5}
    lanes = type(edges)(((a, rows_of[a]), (b, rows_of[b])) for a, b in edges.edges)
    given: list[list[Any]] = [[] for _ in range(6)]
    for node in sorted(rows_of):
        given[rows_of[node]].append((node, rows_of[node]))
    assert crossings(given, lanes) == 2  # 3-6 with 4-5, and 5-8 with 6-7
    assert crossings(ordered_rows(lanes), lanes) == 0


def layer_names(block: Block) -> Counter[str]:
    names = {1: "conv", 2: "max pool", 3: "avg pool", 4: "identity", 5: "+", 6: "concat"}
    kernels = [f"{layer.kernel}×{layer.kernel} " if layer.kernel else "" for layer in block.layers]
    return Counter(
        kernel + names[layer.type] for kernel, layer in zip(kernels, block.layers, strict=True)
    )


@pytest.mark.parametrize("block", BLOCKS[:6])
def test_every_layer_is_named_and_numbered_in_the_svg(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "block.svg"
    draw_image(block, path, title="Block <A>")
    texts = Counter(
        html.unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())
    )
    numbers = Counter(str(layer.index) for layer in block.layers)
    assert texts == layer_names(block) + numbers + Counter(["input", "output", "Block <A>"])


@pytest.mark.parametrize("block", BLOCKS[:6])
def test_every_layer_and_arrow_is_in_the_tikz(block: Block, tmp_path: Path) -> None:
    draw_image(block, tmp_path / "block.tex", title="50 % & more_")
    text = (tmp_path / "block.tex").read_text()
    nodes = re.findall(r"\\node\[layer.*?\] at \([\d.,-]+\) \{(.*?)\};", text)
    assert len(nodes) == len(block.layers) + 2
    names = Counter(name.replace(r"$\times$", "×") for name in nodes)
    assert names == layer_names(block) + Counter(["input", "output"])
    assert text.count(r"\draw[arrow]") == block.graph.number_of_edges()
    assert text.count("{") == text.count("}")
    assert r"50 \% \& more\_" in text


@pytest.mark.parametrize(
    ("suffix", "head"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".SVG", b"<?xml")]
)
def test_the_name_of_the_file_says_its_format(tmp_path: Path, suffix: str, head: bytes) -> None:
    draw_image(RESIDUAL, tmp_path / f"block{suffix}")
    assert (tmp_path / f"block{suffix}").read_bytes().startswith(head)


@pytest.mark.parametrize("name", ["block.jpg", "block", "svg"])
def test_other_formats_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf"\.svg, \.png, \.pdf, \.tex, got .*{name}"):
        draw_image(RESIDUAL, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_pictures_are_reproducible_and_leave_matplotlibs_settings_alone(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    for name in ("a.svg", "b.svg"):
        draw_image(BRANCHES, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert dict(mpl.rcParams) == before


@pytest.mark.slow
def test_a_picture_of_the_longest_block_is_kept_to_a_size(tmp_path: Path) -> None:
    rows = [[index, 1, 3, index - 1, 0] for index in range(1, 200)]
    draw_image(Block.parse(rows), tmp_path / "long.png")
    height = int.from_bytes((tmp_path / "long.png").read_bytes()[20:24], "big")
    assert 7_900 <= height <= 8_000


def test_each_kernel_has_one_colour_and_label_everywhere() -> None:
    kernels = (1, 3, 5, 7, 9, 11, 15)
    colours = [colour(1, kernel) for kernel in kernels]
    assert len({*colours}) == len(kernels)
    assert all(re.fullmatch("#[0-9a-f]{6}", one) for one in [*colours, colour(1, 99)])
    rows = [[number, 1, kernel, number - 1, 0] for number, kernel in enumerate(kernels, 1)]
    block = Block.parse(rows)
    shown = dict(legend([block]))
    assert [shown[one] for one in colours] == [f"{kernel}×{kernel} conv" for kernel in kernels]
    assert "9×9 conv" in draw_text(block)
    boxes = [patch for patch in block_figure(block).axes[0].patches if hasattr(patch, "get_bbox")]
    assert {*colours} <= {mpl.colors.to_hex(box.get_facecolor()) for box in boxes}


def test_the_legend_has_other_kernels_only_where_a_block_has_them() -> None:
    assert [name for _, name in legend([RESIDUAL])][:4] == [
        "1×1 conv",
        "3×3 conv",
        "5×5 conv",
        "max pool",
    ]
    nine = Block.parse([[1, 1, 9, 0, 0], [2, 2, 7, 1, 0]])
    names = [name for _, name in legend([RESIDUAL, nine])]
    assert names[3:5] == ["9×9 conv", "max pool"]


def test_a_picture_on_a_page_is_described_and_takes_the_pages_colours() -> None:
    for svg in (picture(RESIDUAL), thumbnail(RESIDUAL)):
        assert f"of the block {RESIDUAL}" in html.unescape(svg)
        assert 'stroke="var(--line)"' in svg
        assert "#475569" not in svg
        assert "<title>3 3×3 conv</title>" in svg  # said on pointing, at thumbnails too


@pytest.mark.parametrize(
    ("rows", "idle"),
    [
        (RESIDUAL.codes, {1}),
        ([[1, 2, 1, 0, 0], [2, 3, 3, 1, 0], [3, 1, 1, 2, 0]], {1}),  # a pooling of kernel 1
        # 6 is read by a concat alone, 9 by the output alone
        (BRANCHES.codes, {1, 6, 9}),
        # a convolution reads the concat: that one joins
        ([[1, 1, 1, 0, 0], [2, 1, 3, 1, 0], [3, 6, 0, 1, 2], [4, 1, 3, 3, 0]], set()),
        ([[1, 1, 1, 0, 0], [2, 1, 3, 1, 0], [3, 5, 0, 1, 2]], set()),
    ],
)
def test_which_layers_do_nothing(rows: list[list[int]], idle: set[int]) -> None:
    block = Block.parse(rows)
    assert idle_layers(block) == idle
    assert picture(block).count("does nothing") == len(idle)
    boxes = picture(block).count('fill="var(--idle)"')
    assert boxes == len(idle)


@pytest.mark.parametrize("block", BLOCKS[:6])
def test_layers_that_do_nothing_are_those_that_the_function_key_leaves_out(block: Block) -> None:
    kept = {label[0] for label, _ in block.function_graph[1:-1]}
    left = [layer.type for layer in block.layers if layer.index not in idle_layers(block)]
    concats = {LayerType.CONCAT.value}
    assert kept - concats == set(left) - concats
    computing = [one for one in left if one not in concats]
    assert len(computing) == len(block.computing_layers)
