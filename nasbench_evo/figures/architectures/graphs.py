"""Architectures as graphs: nodes on a line and arcs between them, drawn by matplotlib alone."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from nasbench_evo import spaces, tables
from nasbench_evo.errors import Unsupported
from nasbench_evo.figures import style
from nasbench_evo.figures.architectures import cells
from nasbench_evo.results.runs import UnitRuns
from nasbench_evo.spaces import Choices
from nasbench_evo.spaces.binary_stages import INPUT, BinaryStages, StageGraph
from nasbench_evo.spaces.darts_cell import DartsCell
from nasbench_evo.spaces.layer_graph.space import LayerGraph
from nasbench_evo.spaces.micro_cell import MicroCell
from nasbench_evo.spaces.nasbench201 import EDGES, OPERATIONS, NASBench201

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OPERATION_COLOURS = {
    "skip_connect": "#888888",
    "nor_conv_1x1": "#56B4E9",
    "nor_conv_3x3": "#0072B2",
    "avg_pool_3x3": "#D55E00",
}
_SHORT = {
    "skip_connect": "skip",
    "nor_conv_1x1": "conv 1x1",
    "nor_conv_3x3": "conv 3x3",
    "avg_pool_3x3": "avg pool",
}
NO_EDGE = ("none", "zero")  # choices of a gene that stand for no edge
_HALF = 0.31  # height of half a layer, of the distance between layers
_END, _NODE = "#E69F00", "#BBD7EA"
_KIND_COLOURS = {"conv": "#BBD7EA", "pool": "#F2B48A", "concat": "#B5DFCF", "global": "#E69F00"}


@dataclass(frozen=True)
class Arc:
    """A connection between two positions on the line; `height` is signed, in node distances."""

    source: int
    target: int
    height: float
    colour: Any
    label: str = ""
    dashes: Any = "-"


def space_for(name: str, text: str) -> spaces.Space:
    """Return the space called `name`, with the stages or the nodes a cell that `text` has.

    The name of a table stands for the table's space.
    """
    stages = [len(stage.split("-")) + 1 for stage in text.split()]
    if name == BinaryStages.name and "-" in text:
        return BinaryStages(stages)
    if name == MicroCell.name:
        return MicroCell.of(text)
    if name not in spaces.SPACES and name in tables.known():
        return tables.load(name).space
    return spaces.get(name)


def figure(space: spaces.Space, genotype: Any, title: str = "") -> Figure:
    """Return the drawing of a genotype. Call it inside `style.using`.

    Raises Unsupported for a space whose genotypes have no drawing yet.
    """
    from matplotlib.figure import Figure

    if isinstance(space, NASBench201):
        drawing = Figure(figsize=style.sized(5.2, 3.0), layout="constrained")
        cell(drawing.subplots(), genotype)
    elif isinstance(space, Choices) and space.edges is not None:
        reach = max(b for _, b in space.edges)
        drawing = Figure(figsize=style.sized(1.6 + 1.3 * reach, 3.4), layout="constrained")
        _edges(drawing.subplots(), space, genotype)
    elif isinstance(space, BinaryStages):
        widths = [max(2, len(stage.nodes) + 2) for stage in space.stages(genotype)]
        drawing = Figure(figsize=style.sized(0.68 * sum(widths), 2.0), layout="constrained")
        panels = drawing.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
        for number, (axes, stage) in enumerate(zip(panels, space.stages(genotype), strict=True), 1):
            _stage(axes, stage, number)
    elif isinstance(space, LayerGraph):
        drawing = Figure(
            figsize=style.sized(4.4, 0.34 * (len(genotype) + 1) + 0.5), layout="constrained"
        )
        _layers(drawing.subplots(), space, genotype)
    elif isinstance(space, MicroCell | DartsCell):
        drawing = cells.figure(space, genotype)
        if title:  # the text of a genotype is longer than its drawing
            drawing.suptitle(title, fontsize=style.text(9))
        return drawing
    else:
        raise Unsupported(
            f"The space {space.name} has no drawing: {', '.join(spaces.SPACES)} have one, and "
            "spaces of tables whose space.toml has edges."
        )
    letters = int(drawing.get_figwidth() * 72 / (0.62 * style.text(8)))
    words = textwrap.fill(title or space.format(genotype), letters)  # whole, however long
    drawing.suptitle(words, fontsize=style.text(8))
    return drawing


def cell(axes: Axes, genotype: Sequence[int]) -> None:
    """Draw a NAS-Bench-201 cell: 4 nodes that sum, an operation on each edge, none left out."""
    heights = {(0, 2): 0.66, (0, 3): 1.4, (1, 3): -0.66}
    arcs = [
        Arc(
            *edge,
            heights.get(edge, 0.0),
            OPERATION_COLOURS[OPERATIONS[gene]],
            _SHORT[OPERATIONS[gene]],
            (0, (4, 2)) if OPERATIONS[gene] == "skip_connect" else "-",
        )
        for edge, gene in zip(EDGES, genotype, strict=True)
        if OPERATIONS[gene] != "none"
    ]
    names = ["in", "1", "2", "out"]
    _horizontal(axes, names, [_END, _NODE, _NODE, _END], arcs, spacing=1.6)
    axes.set_ylim(-1.0, 1.75)


def _edges(axes: Axes, space: Choices, genotype: Sequence[int]) -> None:
    """Draw a graph whose edges carry the genes' choices; those that are `none` are left out."""
    if space.edges is None:
        raise Unsupported(f"The space {space.name} has no edges.")
    kinds = list(dict.fromkeys(str(value) for gene in space.genes for value in gene.choices))
    shades = dict(zip(kinds, style.levels(len(kinds)), strict=True))
    arcs = []
    for (a, b), gene, i in zip(space.edges, space.genes, genotype, strict=True):
        chosen = str(gene.choices[i])
        if chosen not in NO_EDGE:
            side = 1 if a % 2 == 0 else -1
            height = 0.0 if b - a == 1 else side * 0.62 * (b - a - 0.15)
            arcs.append(Arc(a, b, height, shades[chosen], chosen))
    last = max(b for _, b in space.edges)
    names = ["in", *map(str, range(1, last)), "out"]
    _horizontal(axes, names, [_END, *[_NODE] * (last - 1), _END], arcs, spacing=1.6)
    reach = max([abs(arc.height) for arc in arcs] + [0.4]) + 0.4
    axes.set_ylim(-reach, reach)


def draws_found(space: spaces.Space) -> bool:
    """Whether `found` can draw what runs found in the space."""
    return isinstance(space, NASBench201 | BinaryStages)


def found(runs: UnitRuns, space: spaces.Space, n: int) -> tuple[Figure, str]:
    """Return what the first n runs found, and the caption. Call it inside `style.using`.

    Cells of a table, with regret and rank, or Genetic CNN's stages: see `draws_found`.
    """
    if isinstance(space, BinaryStages):
        return _found_stages(runs, space, n)
    return _found_cells(runs, n)


def _found_stages(runs: UnitRuns, space: BinaryStages, n: int) -> tuple[Figure, str]:
    records, stages = runs.records[:n], len(space.nodes)
    drawing, panels = style.panels(len(records) * stages, (4.4, 2.2), (0, 0.5), most=stages)
    shown = [
        (record, *one) for record in records for one in enumerate(space.stages(record.genotype), 1)
    ]
    for axes, (record, number, stage) in zip(panels, shown, strict=True):
        _stage(axes, stage, number)
        seen = "" if record.seen is None else f" ({record.seen:.2f} % as seen)"
        axes.set_title(f"seed {record.seed}{seen}, {axes.get_title()}", fontsize=style.text(8))
    text = (
        f"Found by {runs.unit.row.label} on {runs.unit.dataset}. Nodes are convolutions and sum "
        "their inputs; the default nodes are in and out."
    )
    style.note(drawing, text)
    return drawing, text


def _found_cells(runs: UnitRuns, n: int) -> tuple[Figure, str]:
    table = tables.reported(runs.unit.table)
    records = runs.records[:n]
    drawing, panels = style.panels(len(records), (4.4, 2.7), (0, 0.5))
    for axes, record in zip(panels, records, strict=True):
        genotype = record.genotype
        cell(axes, genotype)
        regret = table.regret(runs.unit.dataset, genotype)
        rank = table.rank(runs.unit.dataset, genotype)
        size = table.correct.shape[1]
        axes.set_title(f"seed {record.seed}: regret {regret:.2f}, rank {rank} of {size}")
    text = (
        f"Cells found by {runs.unit.row.label} on {runs.unit.dataset}. Nodes sum their inputs; an "
        "edge carries the operation; edges with operation none are left out. Regret in "
        "percentage points of the mean validation accuracy."
    )
    style.note(drawing, text)
    return drawing, text


def _horizontal(
    axes: Axes, names: Sequence[str], colours: Sequence[str], arcs: Sequence[Arc], spacing: float
) -> None:
    """Draw nodes from left to right and arcs with their labels."""
    from matplotlib.colors import to_hex
    from matplotlib.patches import FancyArrowPatch

    for arc in arcs:
        a, b = arc.source * spacing, arc.target * spacing
        axes.add_patch(
            FancyArrowPatch(
                (a, 0),
                (b, 0),
                # The control point of arc3 is `rad` distances aside: the arc reaches half of that.
                connectionstyle=f"arc3,rad={-2 * arc.height / (b - a)}",
                arrowstyle="-|>,head_length=4,head_width=2.5",
                shrinkA=11,
                shrinkB=12,
                color=style.legible(to_hex(arc.colour)),
                linewidth=1.8,
                linestyle=arc.dashes,
            )
        )
        if arc.label:
            axes.text(
                (a + b) / 2, arc.height + (0.13 if arc.height >= 0 else -0.13), arc.label,
                ha="center", va="center", fontsize=style.text(8), weight="bold",
                color=style.legible(to_hex(arc.colour), words=True),
                bbox={"facecolor": style.background(), "edgecolor": "none", "pad": 0.8},
            )  # fmt: skip
    for i, (name, colour) in enumerate(zip(names, colours, strict=True)):
        axes.text(
            i * spacing, 0, name, ha="center", va="center", fontsize=style.text(8),
            color="black", zorder=5,
            bbox={"boxstyle": "circle,pad=0.45", "facecolor": colour, "edgecolor": "#444444"},
        )  # fmt: skip
    axes.set_xlim(-0.5, (len(names) - 1) * spacing + 0.5)
    axes.set_aspect("equal")  # arc3 bends on the screen, heights are in data units
    axes.set_axis_off()


def _stage(axes: Axes, stage: StageGraph, number: int) -> None:
    """Draw a stage of Genetic CNN: default input, kept nodes, default output."""
    order = [INPUT, *stage.nodes]
    place = {node: i for i, node in enumerate(order)}
    end = len(order)
    pairs = [
        (place[source], place[node])
        for node, sources in zip(stage.nodes, stage.inputs, strict=True)
        for source in sources
    ]
    pairs += [(place[node], end) for node in stage.outputs]
    if not stage.nodes:
        pairs = [(0, 1)]
    arcs = []
    for a, b in pairs:
        span = b - a
        side = 1 if a % 2 == 0 else -1
        arcs.append(Arc(a, b, 0.0 if span == 1 else side * 0.3 * span, style.foreground()))
    names = ["in", *map(str, stage.nodes), "out" if stage.nodes else "pool"]
    colours = [_END, *[_NODE] * len(stage.nodes), "#009E73"]
    _horizontal(axes, names, colours, arcs, spacing=1.0)
    reach = max([abs(arc.height) for arc in arcs] + [0.4]) + 0.35
    axes.set_ylim(-reach, reach)
    axes.set_title(f"stage {number}: {stage.convolutions} convolutions", fontsize=style.text(8))


def _layers(axes: Axes, space: LayerGraph, genotype: Any) -> None:
    """Draw a layer graph from top to bottom; arcs to the left are what skips layers."""
    from matplotlib.patches import Rectangle

    names = [f"image {space.image_size}x{space.image_size}", *map(_layer_name, genotype)]
    colours = ["#DDDDDD", *(_KIND_COLOURS[kind] for kind, _, _ in genotype)]
    pairs = [(s, t) for t, (_, inputs, _) in enumerate(genotype, start=1) for s in inputs]
    for source, target in pairs:
        _connect(axes, source, target)
    for number, (name, colour) in enumerate(zip(names, colours, strict=True)):
        corner = (0, -number - _HALF)
        axes.add_patch(Rectangle(corner, 1, 2 * _HALF, facecolor=colour, edgecolor="#444444"))
        words = f"{number}  {name}"
        size = style.text(8)
        axes.text(0.5, -number, words, ha="center", va="center", fontsize=size, color="black")
    _brackets(axes, space.sizes(genotype))
    longest = max(target - source for source, target in pairs)
    axes.set_xlim(-0.05 - 0.045 * (longest if longest > 1 else 0), 1.3)
    axes.set_ylim(-len(genotype) - 0.6, 0.6)
    axes.set_axis_off()


def _layer_name(layer: Any) -> str:
    kind, _, settings = layer
    if kind != "conv":
        return {"pool": "pool 2x2", "concat": "concatenate"}.get(kind, "global pool")
    channels, stride, kernel = settings
    return f"conv {kernel}x{kernel}, {channels} channels{f', stride {stride}' * (stride > 1)}"


def _connect(axes: Axes, source: int, target: int) -> None:
    """Draw the arrow between two layers: straight to the next, at the left past others."""
    from matplotlib.patches import FancyArrowPatch

    skips = target - source > 1
    x, gap = (0.0, 0.0) if skips else (0.5, _HALF)
    axes.add_patch(
        FancyArrowPatch(
            (x, -source - gap),
            (x, -target + gap),
            connectionstyle="arc3,rad=0.5" if skips else "arc3,rad=0",
            arrowstyle="-|>,head_length=3.5,head_width=2",
            shrinkA=0,
            shrinkB=0,
            color=style.legible("#0072B2") if skips else style.foreground(),
            linewidth=1.3,
        )
    )


def _brackets(axes: Axes, sizes: Sequence[int]) -> None:
    """Mark at the right which layers share a feature-map size: the blocks of EIGEN."""
    starts = [0, *(i for i, (a, b) in enumerate(pairwise(sizes), 1) if a != b), len(sizes)]
    for a, b in pairwise(starts):
        axes.plot([1.04, 1.04], [-a + 0.35, -(b - 1) - 0.35], color="#888888", linewidth=2)
        axes.text(
            1.07, -(a + b - 1) / 2, f"{sizes[a]}x{sizes[a]}", va="center", fontsize=style.text(8)
        )
