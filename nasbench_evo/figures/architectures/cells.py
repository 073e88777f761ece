"""Cells as staircases: every state has a wire of its own, so nothing can lie over anything else.

Nodes go down and to the right. A node is a block of its two operations and its number; its wire
leaves at the block's left end and runs down, left of all later blocks. An operation taps the wire
of its input by a horizontal arrow. So lines meet only at right angles, and no line meets a block
but the one that it belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nasbench_evo.figures import style
from nasbench_evo.spaces.darts_cell import DartsCell
from nasbench_evo.spaces.micro_cell import CELL_INPUTS, MicroCell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
_ROW = 0.2  # height of one line of text in a box
_GAP = 0.16  # between one block and the next below
_STEP = 0.3  # from one wire to the next
_INSET = 0.1  # of the wire from the left end of its box
_WIDTH = 0.96  # of a block
_BAR = 1.4  # least width of the output, for its words

# A light tint a family, dark letters on it; the words tell operations apart without colour.
_TINTS = {
    "dw_conv": "#A6D0EC",
    "sep_conv": "#A6D0EC",
    "dil_conv": "#DCEBF7",
    "max_pool": "#F2B48A",
    "avg_pool": "#FBE3CF",
}
_STRAIGHT = "#E4E4E4"  # identity and skip: no weights
_ENDS = "#F5D490"


@dataclass(frozen=True)
class Cell:
    """What is drawn of a cell: states are its `inputs`, then its nodes.

    `nodes` are (state a, state b, operation a, operation b); `outputs` the numbers of the nodes
    that are concatenated; `residual` says whether the first input is added to the output.
    """

    title: str
    inputs: tuple[str, ...]
    nodes: tuple[tuple[int, int, str, str], ...]
    outputs: tuple[int, ...]
    residual: bool = False


@dataclass(frozen=True)
class Box:
    """A rectangle with words; inches, y upwards. `fill` None is the ground's colour."""

    left: float
    top: float
    width: float
    words: str
    fill: str | None = None

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.top - _ROW


@dataclass(frozen=True)
class Line:
    """A horizontal or vertical line; `tap` begins with a dot, `arrow` ends with a head."""

    start: tuple[float, float]
    end: tuple[float, float]
    tap: bool = False
    arrow: bool = True


@dataclass
class Layout:
    """Where everything of a cell lies; `width` and `height` inches from the upper left corner."""

    boxes: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


def cells(space: MicroCell | DartsCell, genotype: Any) -> list[Cell]:
    """Return the cells of a genotype as they are drawn, in the space's order."""
    found = []
    for cell_type, nodes in space.describe(genotype).items():
        title = f"{cell_type} cell"
        named = tuple((a, b, space.operations[i], space.operations[j]) for a, b, i, j in nodes)
        if isinstance(space, MicroCell):
            outputs = space.outputs(genotype)[cell_type]
            found.append(Cell(title, CELL_INPUTS[cell_type], named, outputs, residual=True))
        else:
            found.append(Cell(title, ("input 0", "input 1"), named, tuple(range(len(nodes)))))
    return found


def figure(space: MicroCell | DartsCell, genotype: Any) -> Figure:
    """Return the cells of a genotype side by side. Call it inside `style.using`."""
    from matplotlib.figure import Figure

    drawn = cells(space, genotype)
    inputs = max(len(cell.inputs) for cell in drawn)
    layouts = [layout(cell, inputs) for cell in drawn]
    height = max(placed.height for placed in layouts)
    widths = [placed.width for placed in layouts]
    drawing = Figure(
        figsize=style.sized(sum(widths) + 0.3 * len(widths), height + 0.9), layout="constrained"
    )
    panels = drawing.subplots(1, len(drawn), squeeze=False, width_ratios=widths)[0]
    for axes, cell, placed in zip(panels, drawn, layouts, strict=True):
        _paint(axes, placed, height)
        axes.set_title(cell.title, fontsize=style.text(9), loc="left")
    style.note(drawing, _words(space))
    return drawing


def _words(space: MicroCell | DartsCell) -> str:
    words = "A node adds its two operations; each takes the state on whose line its dot lies. "
    if isinstance(space, MicroCell):
        return words + (
            "Input is the output of the cell before, previous that of the cell before it. Nodes "
            "that no node uses are concatenated; squeeze-and-excitation follows the 1x1 "
            "convolution."
        )
    return words + (  # numbers stay with their words: no-break spaces
        "Input\u00a01 is the output of the cell before, input\u00a00 that of the cell before it. "
        "In the reduction cell, operations on the inputs have stride\u00a02."
    )


def layout(cell: Cell, input_rows: int) -> Layout:
    """Return where the parts of a cell lie, with room for `input_rows` inputs above the nodes."""
    placed = Layout()
    taps: list[list[float]] = [[] for _ in (*cell.inputs, *cell.nodes)]
    bottoms = []
    top = -(_ROW + 0.1) * (input_rows - len(cell.inputs))
    used = {state for a, b, _, _ in cell.nodes for state in (a, b)} | {0 if cell.residual else -1}
    for state, name in enumerate(cell.inputs):
        width, words = (0.7, name) if state in used else (1.1, f"{name} (unused)")
        placed.boxes.append(Box(state * _STEP, top, width, words, _ENDS))
        bottoms.append(top - _ROW)
        top -= _ROW + 0.1
    for state, (a, b, *operations) in enumerate(cell.nodes, start=len(cell.inputs)):
        top -= _GAP
        left = state * _STEP
        for source, operation in zip((a, b), operations, strict=True):
            middle = top - _ROW / 2
            taps[source].append(middle)
            placed.lines.append(Line((_wire(source), middle), (left, middle), tap=True))
            placed.boxes.append(Box(left, top, _WIDTH, *_operation(operation)))
            top -= _ROW
        placed.boxes.append(Box(left, top, _WIDTH, f"node {state - len(cell.inputs)}"))
        top -= _ROW
        bottoms.append(top)
    placed.width = len(cell.inputs) * _STEP + max((len(cell.nodes) - 1) * _STEP + _WIDTH, _BAR)
    _end(placed, cell, top - 0.24, taps, bottoms)
    return placed


def _end(
    placed: Layout, cell: Cell, top: float, taps: Sequence[Sequence[float]], bottoms: list[float]
) -> None:
    """Add what makes the output of the nodes, from `top` down, and the wires that reach it."""
    first = len(cell.inputs)
    left = first * _STEP
    words = "concatenate, conv 1x1" if cell.residual else "concatenate = output"
    placed.boxes.append(Box(left, top, placed.width - left, words, _ENDS))
    ends = {first + node: top for node in cell.outputs}
    if cell.residual:
        below = top - _ROW - 0.24
        middle = (left + placed.width) / 2
        placed.boxes.append(Box(0, below, placed.width, "add = output", _ENDS))
        placed.lines.append(Line((middle, top - _ROW), (middle, below)))
        ends[0] = below
    for state, (bottom, heights) in enumerate(zip(bottoms, taps, strict=True)):
        x = _wire(state)
        if state in ends:
            placed.lines.append(Line((x, bottom), (x, ends[state])))
        elif heights:
            placed.lines.append(Line((x, bottom), (x, min(heights)), arrow=False))
    placed.height = -min(box.bottom for box in placed.boxes)


def _wire(state: int) -> float:
    """Return where the wire of a state runs down."""
    return state * _STEP + _INSET


def _operation(name: str) -> tuple[str, str]:
    """Return the words and the tint of an operation, such as 'sep conv 3x3'."""
    family, _, size = name.rpartition("_")
    if family in _TINTS:
        return f"{family.replace('_', ' ')} {size}", _TINTS[family]
    return {"skip_connect": "skip"}.get(name, name), _STRAIGHT


def _paint(axes: Axes, placed: Layout, height: float) -> None:
    """Draw a layout; horizontal lines pass over vertical ones, which break there."""
    from matplotlib.patches import FancyArrowPatch, Rectangle

    for line in placed.lines:
        (x, y), (end, _) = line.start, line.end
        if line.tap:
            axes.plot([x + 0.05, end], [y, y], color=style.background(), linewidth=5, zorder=2)
            axes.plot([x], [y], "o", color=style.foreground(), markersize=4, zorder=4)
        axes.add_patch(
            FancyArrowPatch(
                line.start,
                line.end,
                arrowstyle="-|>,head_length=4,head_width=2.2" if line.arrow else "-",
                shrinkA=0,
                shrinkB=0,
                color=style.foreground(),
                linewidth=1.1,
                zorder=3 if line.tap else 1,
            )
        )
    for box in placed.boxes:
        fill = box.fill or style.background()
        corner = (box.left, box.bottom)
        axes.add_patch(
            Rectangle(corner, box.width, _ROW, facecolor=fill, edgecolor="#777777", zorder=5)
        )
        axes.text(
            box.left + box.width / 2, box.top - _ROW / 2, box.words, ha="center",
            va="center_baseline", fontsize=style.text(7.5), zorder=6,
            color="black" if box.fill else style.foreground(),
        )  # fmt: skip
    axes.set_xlim(-0.02, placed.width + 0.02)
    axes.set_ylim(-height - 0.02, 0.02)
    axes.set_aspect("equal", anchor="NW")
    axes.set_axis_off()
