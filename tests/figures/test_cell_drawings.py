"""Drawings of the cells of GeneticNAS and DARTS: everything is there, nothing lies over another."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from nasbench_evo.figures import style
from nasbench_evo.figures.architectures import cells, graphs
from nasbench_evo.figures.architectures.cells import Box, Cell, Layout, Line, layout
from nasbench_evo.randomness import stream
from nasbench_evo.spaces import DartsCell, MicroCell

Space = MicroCell | DartsCell
SPACES: list[Space] = [MicroCell(), MicroCell(1), MicroCell(7), DartsCell()]
SMALL = "first: {0}; normal: {0}; reduction: {0}".format(
    "dw_conv_3x3(input)+identity(input), max_pool_3x3(0)+dw_conv_5x5(input)"
)


def layouts(space: Space, seed: int) -> list[tuple[Cell, Layout]]:
    (genotype,) = space.sample(stream(seed, "test"), 1)
    return [(cell, layout(cell, 2)) for cell in cells.cells(space, genotype)]


drawn = st.tuples(st.sampled_from(SPACES), st.integers(0, 2**32)).flatmap(
    lambda pair: st.sampled_from(layouts(*pair))
)


def rows(placed: Layout) -> dict[str, Box]:
    return {box.words: box for box in placed.boxes}


def test_a_cell_by_hand() -> None:
    space = MicroCell(2)
    _, normal, _ = cells.cells(space, space.parse(SMALL))
    assert normal == Cell(
        "normal cell",
        ("input", "previous"),
        ((0, 0, "dw_conv_3x3", "identity"), (2, 0, "max_pool_3x3", "dw_conv_5x5")),
        (1,),
        residual=True,
    )
    placed = layout(normal, 2)
    assert [box.words for box in placed.boxes] == [
        "input", "previous (unused)", "dw conv 3x3", "identity", "node 0", "max pool 3x3",
        "dw conv 5x5", "node 1", "concatenate, conv 1x1", "add = output",
    ]  # fmt: skip
    taps = [line for line in placed.lines if line.tap]
    # The two operations of node 0 and the second of node 1 leave the wire of the input.
    assert [line.start[0] for line in taps] == pytest.approx([0.1, 0.1, 0.7, 0.1])
    wires = [line for line in placed.lines if not line.tap]
    ends = {round(line.start[0], 3): (line.end[1], line.arrow) for line in wires}
    assert ends[0.1] == (rows(placed)["add = output"].top, True)
    assert ends[1.0] == (rows(placed)["concatenate, conv 1x1"].top, True)
    assert ends[0.7] == (taps[2].start[1], False)  # used: its wire ends at the last dot
    assert 0.4 not in ends  # nothing takes the previous cell's output
    assert len(wires) == 4


def test_every_node_of_a_darts_cell_reaches_the_output() -> None:
    for cell, placed in layouts(DartsCell(), 0):
        assert not cell.residual
        end = rows(placed)["concatenate = output"]
        reaching = [line for line in placed.lines if line.end[1] == end.top]
        assert len(reaching) == 4
        assert all(end.left < line.end[0] < end.left + end.width for line in reaching)


@settings(max_examples=60)
@given(drawn)
def test_boxes_and_lines_keep_apart(pair: tuple[Cell, Layout]) -> None:
    _, placed = pair
    for a, b in combinations(placed.boxes, 2):
        beside = a.left + a.width <= b.left or b.left + b.width <= a.left
        assert beside or a.bottom >= b.top - 1e-9 or b.bottom >= a.top - 1e-9
    for line in placed.lines:
        for box in placed.boxes:
            assert not crosses(line, box), (line, box)
    for one, other in combinations(placed.lines, 2):
        # Two lines of one direction have their own track, but for the taps' common dots.
        if one.tap and other.tap:
            assert abs(one.end[1] - other.end[1]) > 0.1
        elif not one.tap and not other.tap:
            same = abs(one.start[0] - other.start[0]) < 0.04
            assert not same or one.end[1] >= other.start[1] or other.end[1] >= one.start[1]
    for box in placed.boxes:
        assert box.left >= 0
        assert box.left + box.width <= placed.width + 1e-9
        assert -placed.height - 1e-9 <= box.bottom
        assert box.top <= 0


def crosses(line: Line, box: Box) -> bool:
    """Whether a line is inside a box, beyond its edge."""
    (x0, y0), (x1, y1) = line.start, line.end
    return (
        min(x0, x1) < box.left + box.width - 1e-9
        and max(x0, x1) > box.left + 1e-9
        and min(y0, y1) < box.top - 1e-9
        and max(y0, y1) > box.bottom + 1e-9
    )


@settings(max_examples=60)
@given(drawn)
def test_the_cell_can_be_read_back(pair: tuple[Cell, Layout]) -> None:
    cell, placed = pair
    inputs = len(cell.inputs)
    wires = [box.left + 0.1 for box in placed.boxes if box.words.startswith(("input", "previous"))]
    wires += [box.left + 0.1 for box in placed.boxes if box.words.startswith("node ")]
    assert len(wires) == inputs + len(cell.nodes)
    taps = [line for line in placed.lines if line.tap]
    sources = [min(range(len(wires)), key=lambda s: abs(wires[s] - line.start[0])) for line in taps]
    assert sources == [state for a, b, _, _ in cell.nodes for state in (a, b)]
    for line in taps:
        state = min(range(len(wires)), key=lambda s: abs(wires[s] - line.start[0]))
        (wire,) = [
            other
            for other in placed.lines
            if not other.tap and abs(other.start[0] - wires[state]) < 1e-6
        ]
        assert wire.start[1] > line.start[1] >= wire.end[1]  # the dot lies on the wire


@pytest.mark.parametrize("look", style.STYLES)
@pytest.mark.parametrize("space", [SPACES[0], SPACES[1], SPACES[3]], ids=["5", "1", "darts"])
def test_words_stay_in_their_boxes(space: Space, look: str) -> None:
    (genotype,) = space.sample(stream(1, "test"), 1)
    for one in (genotype, space.poorest()):
        with style.using(look):
            drawing = graphs.figure(space, one, title="a title")
            renderer = canvas(drawing).get_renderer()
            drawing.draw(renderer)
            for axes in drawing.axes:
                rectangles = [p for p in axes.patches if isinstance(p, Rectangle)]
                assert len(rectangles) == len(axes.texts) > 0
                for rectangle, words in zip(rectangles, axes.texts, strict=True):
                    around = rectangle.get_window_extent(renderer)
                    inside = words.get_window_extent(renderer)
                    assert around.x0 < inside.x0 < inside.x1 < around.x1, words.get_text()
                    assert around.y0 < inside.y0 < inside.y1 < around.y1, words.get_text()
                title = axes.title.get_window_extent(renderer)
                assert title.y0 > max(p.get_window_extent(renderer).y1 for p in rectangles)
            below = min(axes.get_window_extent(renderer).y0 for axes in drawing.axes)
            note = drawing._supxlabel.get_window_extent(renderer)  # type: ignore[attr-defined]
            assert note.y1 <= below + 1
            assert drawing.get_suptitle() == "a title"


def canvas(drawing: Figure) -> Any:  # its methods have no types
    return FigureCanvasAgg(drawing)


@pytest.mark.parametrize("space", [MicroCell(), DartsCell()], ids=["micro_cell", "darts_cell"])
def test_panels_are_the_cells_side_by_side(space: Space) -> None:
    with style.using("paper"):
        drawing = graphs.figure(space, space.poorest())
        canvas(drawing).draw()
    titles = [axes.get_title(loc="left") for axes in drawing.axes]
    known = ["normal cell", "reduction cell"]
    assert titles == (["first cell", *known] if isinstance(space, MicroCell) else known)
    left = [axes.get_position().x0 for axes in drawing.axes]
    assert left == sorted(left)
    assert len({round(axes.get_position().y1, 6) for axes in drawing.axes}) == 1


def test_every_operation_has_its_words_and_families_differ() -> None:
    named = {name: cells._operation(name) for space in SPACES[2:] for name in space.operations}
    words = {words for words, _ in named.values()}
    assert len(words) == len(named)
    tints = [named[n][1] for n in ("sep_conv_3x3", "dil_conv_3x3", "max_pool_3x3", "identity")]
    assert len(set(tints)) == 4


def test_the_command_draws_both_spaces(tmp_path: Path) -> None:
    darts = DartsCell()
    for text, space in [(SMALL, "micro_cell"), (darts.format(darts.poorest()), "darts_cell")]:
        command = [sys.executable, "-m", "nasbench_evo", "draw", text, "--space", space]
        command += ["--out", str(tmp_path / space), "--format", "png,svg"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        with Image.open(tmp_path / f"{space}.png") as image:
            assert image.width > image.height
        assert "<svg" in (tmp_path / f"{space}.svg").read_text()
