"""The figures that a suite has by its kind, by the names that kinds list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_evo.figures import pareto, style
from nasbench_evo.figures.suites import (
    accuracy,
    final,
    final_accuracy,
    regret,
    relaxation,
    supernet,
)
from nasbench_evo.replays.pareto import Fronts
from nasbench_evo.results import kinds
from nasbench_evo.results.kinds import Findings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Drawn = tuple[str, Callable[[], "Figure"]]  # file name, how to draw it


def _regret(found: Findings, fronts: Fronts | None) -> Iterator[Drawn]:
    yield "regret", partial(regret.figure, found.suite, found.collected)


def _final(found: Findings, fronts: Fronts | None) -> Iterator[Drawn]:
    yield "final", partial(final.figure, found.suite, found.rows)


def _pareto(found: Findings, fronts: Fronts | None) -> Iterator[Drawn]:
    if fronts is not None and fronts.volumes:
        yield "pareto", partial(pareto.figure, found.suite, fronts)


def _accuracy(found: Findings, fronts: Fronts | None) -> Iterator[Drawn]:
    yield "accuracy", partial(accuracy.figure, found.suite, found.collected)


def _final_accuracy(found: Findings, fronts: Fronts | None) -> Iterator[Drawn]:
    for dataset in found.suite.datasets:
        own = [runs for runs in found.collected if runs.unit.dataset == dataset]
        if final_accuracy.has(own):
            suffix = f"_{dataset}" if len(found.suite.datasets) > 1 else ""
            yield f"final_accuracy{suffix}", partial(final_accuracy.figure, own)


def _shared_weights(found: Findings, fronts: Fronts | None) -> Iterator[Drawn]:
    yield from supernet.drawings(found.suite, found.collected, found.rankings, found.pairs)


def _relaxation(found: Findings, fronts: Fronts | None) -> Iterator[Drawn]:
    for dataset in found.suite.datasets:
        own = [runs for runs in found.collected if runs.unit.dataset == dataset]
        if relaxation.has(own):
            suffix = f"_{dataset}" if len(found.suite.datasets) > 1 else ""
            yield f"relaxation{suffix}", partial(relaxation.figure, own)


FIGURES: dict[str, Callable[[Findings, Fronts | None], Iterator[Drawn]]] = {
    "regret": _regret,
    "final": _final,
    "pareto": _pareto,
    "accuracy": _accuracy,
    "final_accuracy": _final_accuracy,
    "shared_weights": _shared_weights,
    "relaxation": _relaxation,
}


def drawings(found: Findings, fronts: Fronts | None = None) -> Iterator[Drawn]:
    """Yield what to draw of every suite of this kind."""
    style.reserve(runs.unit.row.shown for runs in found.collected)
    for name in kinds.of(found.suite).figures:
        yield from FIGURES[name](found, fronts)


def save(folder: Path, drawn: Drawn, formats: Sequence[str], paths: list[Path]) -> tuple[str, str]:
    """Write a figure, add its files to `paths`, and return its name and its caption."""
    name, draw = drawn
    figure = draw()
    paths += style.save(figure, folder / name, formats)
    return name, str(figure.get_label())


def first(found: Findings, folder: Path, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write the figures that a finished suite leaves beside its summary; return the paths."""
    paths: list[Path] = []
    name = kinds.of(found.suite).figures[0]
    with style.using():
        style.reserve(runs.unit.row.shown for runs in found.collected)
        for drawn in FIGURES[name](found, None):
            save(folder, drawn, formats, paths)
    return paths
