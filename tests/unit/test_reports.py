"""Pictures of blocks and reports of searches, read back as a viewer would."""

from __future__ import annotations

import html
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from markupsafe import Markup
from matplotlib.transforms import Bbox

from nni_blockqnn.blocks.block import Block
from nni_blockqnn.blocks.layer import Layer, LayerType
from nni_blockqnn.cli import main
from nni_blockqnn.reports._idle import idle_layers
from nni_blockqnn.reports._labels import colour
from nni_blockqnn.reports._layout import Box, lay_out
from nni_blockqnn.reports._ordering import crossings, ordered_rows
from nni_blockqnn.reports._page import DrawnChart, duration, legend, picture, quantity, thumbnail
from nni_blockqnn.reports._plot import Chart
from nni_blockqnn.reports.drawing import arrow_curve, block_figure, draw_image, draw_text
from nni_blockqnn.reports.report import _correlations, write_report
from nni_blockqnn.results.experiment import Experiment, Problem, Results, TrialResult
from nni_blockqnn.space.search_space import SearchSpace

RESIDUAL = Block.parse([[1, 4, 0, 0, 0], [2, 1, 3, 1, 0], [3, 1, 3, 2, 0], [4, 5, 0, 1, 3]])
"""The right block of the paper's Fig. 2."""
BRANCHES = Block.parse(
    "[[1,4,0,0,0],[2,1,1,1,0],[3,1,3,2,0],[4,1,1,1,0],[5,1,5,4,0],"
    "[6,6,0,3,5],[7,2,3,1,0],[8,1,1,7,0],[9,6,0,6,8],[10,7,0,0,0]]"
)
"""The left block of the paper's Fig. 2."""
ONE_LAYER = Block.parse([[1, 1, 1, 0, 0]])


def dense_block(rng: np.random.Generator) -> Block:
    """22 layers, uniform over all rows: more tangled than what the search draws at random."""
    space = SearchSpace()
    layers: list[Layer] = []
    while len(layers) < 22:
        choices = space.successors(layers[-1] if layers else None)
        layer = choices[rng.integers(len(choices))]
        if layer.type != LayerType.TERMINAL:
            layers.append(layer)
    return Block(tuple(layers))


BLOCKS = [ONE_LAYER, RESIDUAL, BRANCHES, *map(dense_block, np.random.default_rng(5).spawn(12))]


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


def trial(number: int, block: Block, reward: float, accuracy: float, **changes: Any) -> TrialResult:
    result = TrialResult(
        episode=number,
        block=block,
        reward=reward,
        accuracy=accuracy,
        flops=1_000_000 * (number + 1),
        params=123_456,
        density=block.density,
        repeats=4,
        seconds=65.0,
        trial_id=f"trial{number}",
        finished=number,
        metric={},
    )
    return replace(result, **changes)


def search(*trials: TrialResult, **changes: Any) -> Results:
    config = {
        "searchSpace": {"block": {"_type": "nsc", "_value": {"max_layers": 23}}},
        "tuner": {"className": "x", "classArgs": {"preset": "tuned", "seed": 7}},
        "trialCommand": "python -m nni_blockqnn.trial --dataset cifar100",
    }
    experiment = Experiment("abcd1234", "my search", Path("x"), 8080, "DONE", config)
    results = Results(
        experiment=experiment,
        trials=trials,
        statuses={"SUCCEEDED": len(trials), "FAILED": 2},
        failures=(),
        malformed=(),
        started=0.0,
        seconds=7_500,
    )
    return replace(results, **changes)


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts take most of a page's time, and few tests look at them."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr("nni_blockqnn.reports._page.drawn", lambda chart: chart_stub(chart))


def chart_stub(chart: Chart) -> DrawnChart:
    return DrawnChart(chart.name, chart.title, chart.caption, Markup("<svg/>"), Markup())


THREE = (
    trial(0, ONE_LAYER, 40.0, 41.5),
    trial(1, BRANCHES, 60.0, 60.5),
    trial(2, RESIDUAL, 58.0, 64.25),
)


def report(tmp_path: Path, results: Results, **arguments: Any) -> str:
    path = tmp_path / "report.html"
    write_report(results, path, **arguments)
    return path.read_text(encoding="utf-8")


def test_the_report_shows_the_best_block_its_codes_and_the_next_command(tmp_path: Path) -> None:
    page = html.unescape(report(tmp_path, search(*THREE)))
    assert "my search" in page
    assert f"blockqnn draw '{BRANCHES.to_json()}'" in page
    for block in (ONE_LAYER, BRANCHES, RESIDUAL):
        assert f"<pre>{block.to_json()}</pre>" in page
    assert "60.50 %" in page
    assert '<a href="#trial-trial2">trial trial2</a>' in page  # the most accurate
    assert " with 64.25 % at 3.00 M FLOPs" in page
    assert '<tbody id="trial-trial2"' in page
    assert "3 succeeded, 2 failed" in page
    assert "2 h 5 min" in page
    assert "1970-01-01 00:00 UTC" in page
    assert "preset tuned, seed 7" in page
    assert "--dataset cifar100" in page


def test_the_legend_has_the_separate_layers_where_they_were_searched(tmp_path: Path) -> None:
    separate = Block.parse([[1, 8, 0, 0, 0], [2, 1, 3, 1, 0]], encoding="separate")
    legends = [
        "</i>batch norm</li>" in report(tmp_path, search(trial(0, block, 1.0, 1.0)))
        for block in (RESIDUAL, separate)
    ]
    assert legends == [False, True]


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


def test_the_table_ranks_fifty_different_networks_and_the_most_accurate(tmp_path: Path) -> None:
    space, rng = SearchSpace(max_layers=5), np.random.default_rng(1)
    blocks = list({block.key: block for block in map(space.random_block, [rng] * 300)}.values())
    trials = [trial(number, block, float(number), 50.0) for number, block in enumerate(blocks[:60])]
    trials[4] = replace(trials[4], accuracy=99.0)
    page = report(tmp_path, search(*trials, trial(99, blocks[59], 1.0, 50.0)))
    assert "results of 60 different networks" in page
    expected = [f"trial{n}" for n in range(59, 9, -1)]
    assert re.findall(r"<td>(trial\d+)</td>", page) == [*expected, "trial4"]
    assert page.count('class="later"') == 31  # those appear at a click
    assert '<td data-label="Place" data-value="56">56</td>' in page  # of the most accurate


def test_strings_from_outside_are_escaped(tmp_path: Path) -> None:
    attack = "<script>alert(1)</script>"
    results = search(
        trial(0, RESIDUAL, 1.0, 1.0, trial_id=attack), malformed=(Problem("x", f"got {attack}"),)
    )
    experiment = replace(results.experiment, name=attack, config={"trialCommand": attack})
    page = report(
        tmp_path,
        replace(results, experiment=experiment),
        title=f"Title {attack}",
        extra={attack: attack},
    )
    assert "Title &lt;script&gt;" in page
    assert "<script>alert" not in page


@pytest.mark.slow
def test_the_report_needs_nothing_from_outside(tmp_path: Path) -> None:
    page = report(tmp_path, search(*THREE), epsilon_by_episode={0: 1.0, 1: 0.5, 2: 0.5})
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert not re.search(r"https?:|//\w+\.\w|@import|<link|<img|src=", without_namespaces)


def test_without_results_the_report_says_so(tmp_path: Path) -> None:
    page = report(tmp_path, search(statuses={}, started=None, seconds=None))
    assert "No results yet" in page
    assert "<svg" not in page
    assert "nnictl view" not in page


def test_the_state_of_the_experiment_is_in_words(tmp_path: Path) -> None:
    results = search(*THREE)
    for status, said in (("STOPPED", "stopped: 5 trials done"), ("ERROR", "failed: 5 trials done")):
        experiment = replace(results.experiment, status=status)
        page = report(tmp_path, replace(results, experiment=experiment))
        assert f"<dt>State</dt><dd>{said}" in page
    experiment = replace(results.experiment, status="STOPPED", config={"maxTrialNumber": 5})
    page = report(tmp_path, replace(results, experiment=experiment))
    assert "<dt>State</dt><dd>finished: 5 of 5 trials done</dd>" in page


def test_metrics_that_could_not_be_read_are_told(tmp_path: Path) -> None:
    problems = tuple(Problem(f"t{number}", "broken") for number in range(7))
    page = report(tmp_path, search(*THREE, malformed=problems))
    assert "7 trials have no result" in page
    assert "7 &times; unreadable: broken" in page
    assert "the last one: trial t6" in page


def test_a_single_result_is_enough(tmp_path: Path) -> None:
    page = report(tmp_path, search(trial(0, ONE_LAYER, 1.0, 2.0, params=None, repeats=None)))
    assert "The best 1 different network" in page
    assert "Spearman" not in page


def test_correlation_with_cost_is_reported_with_its_sign(tmp_path: Path) -> None:
    # FLOPs rise with the number of the trial: 1, 2, 3 M; accuracies 41.5, 60.5, 64.25
    assert "+1.00 for FLOPs" in report(tmp_path, search(*THREE))


@pytest.mark.parametrize(
    ("flops", "accuracies", "expected"),
    [
        ([1, 10, 10**25], [3.0, 2.0, 1.0], -1),
        # ranks 1, 2, 3 and 1.5, 1.5, 3: covariance 0.75, deviations 1 and sqrt(0.75)
        ([1, 2, 3], [5.0, 5.0, 9.0], 0.75**0.5),
        ([1, 2], [5.0, 5.0], None),
        ([1], [5.0], None),
        ([], [], None),
    ],
)
def test_rank_correlations_by_hand(
    flops: list[int], accuracies: list[float], expected: float | None
) -> None:
    trials = [
        replace(trial(number, ONE_LAYER, 0.0, accuracy), flops=cost)
        for number, (cost, accuracy) in enumerate(zip(flops, accuracies, strict=True))
    ]
    found = _correlations(trials)
    assert found["flops"] == (None if expected is None else pytest.approx(expected))
    assert found["density"] is None  # all blocks are the same


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (12_345_678, "12.3 M"), (430_000_000, "430 M"),
     (999_999, "1.00 M"), (2.5e9, "2.50 G"), (7e15, "7,000 T"), (None, "–")],
)  # fmt: skip
def test_quantity(number: float | None, text: str) -> None:
    assert quantity(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min 0 s"), (3_599, "59 min 59 s"), (7_500, "2 h 5 min"), (None, "–")],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


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


def test_the_report_shows_why_trials_failed(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(search(*THREE, failures=(Problem("abc", "no data in <x>"),)), path)
    assert "1 &times; failed: no data in &lt;x&gt;" in path.read_text()
    write_report(search(*THREE), path)
    assert "no result" not in path.read_text()


def test_a_full_disk_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(search(*THREE[:1]), path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
