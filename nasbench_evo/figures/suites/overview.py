"""The figures that a suite has by its kind, by the names that kinds list."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_evo.figures import critical_difference, pareto, style, wallclock
from nasbench_evo.figures.suites import (
    accuracy,
    compared,
    final,
    final_accuracy,
    landmarks,
    regret,
    relaxation,
    supernet,
)
from nasbench_evo.replays import wallclock as replay
from nasbench_evo.replays.pareto import Fronts
from nasbench_evo.results import finals, kinds
from nasbench_evo.results.kinds import Findings
from nasbench_evo.results.runs import UnitRuns

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Drawn = tuple[str, Callable[[], "Figure"]]  # file name, how to draw it


def _by_dataset(found: Findings) -> Iterator[tuple[str, list[UnitRuns]]]:
    """Yield for each data set how names of its files end, and its runs."""
    for dataset in found.suite.datasets:
        own = [runs for runs in found.collected if runs.unit.dataset == dataset]
        yield supernet.ending(found.suite, dataset), own


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
    for ending, own in _by_dataset(found):
        if final_accuracy.has(own):
            yield f"final_accuracy{ending}", partial(final_accuracy.figure, own)


def _shared_weights(found: Findings, fronts: Fronts | None) -> Iterator[Drawn]:
    yield from supernet.drawings(found.suite, found.collected, found.rankings, found.pairs)


def _relaxation(found: Findings, fronts: Fronts | None) -> Iterator[Drawn]:
    for ending, own in _by_dataset(found):
        if relaxation.has(own):
            yield f"relaxation{ending}", partial(relaxation.figure, own)


def _landmarks(found: Findings, fronts: Fronts | None) -> Iterator[Drawn]:
    if landmarks.has(found.collected):
        yield "landmarks", partial(landmarks.figure, found.suite, found.collected)


FIGURES: dict[str, Callable[[Findings, Fronts | None], Iterator[Drawn]]] = {
    "regret": _regret,
    "final": _final,
    "pareto": _pareto,
    "accuracy": _accuracy,
    "final_accuracy": _final_accuracy,
    "shared_weights": _shared_weights,
    "relaxation": _relaxation,
    "landmarks": _landmarks,
}


def drawings(
    found: Findings, fronts: Fronts | None = None, without: Collection[str] = ()
) -> Iterator[Drawn]:
    """Yield what to draw of every suite of this kind, but for the names `without`."""
    style.reserve(runs.unit.row.shown for runs in found.collected)
    for name in (name for name in kinds.of(found.suite).figures if name not in without):
        yield from FIGURES[name](found, fronts)


def paper_kit(found: Findings) -> Iterator[Drawn]:
    """Yield what compares the rows of a suite run by run, where its runs can be compared so."""
    ended = finals.finals(found.suite, found.collected)
    if ended is None or len(ended.rows) < 2 or ended.runs < 2:
        return
    yield "profile", partial(compared.profiles, ended)
    yield "improvement", partial(compared.matrix, ended)
    ranked = finals.run_ranks(ended, compared.MOST)
    if ranked is not None:
        yield "run_ranks", partial(critical_difference.of_runs, ended, ranked)


def regret_by_time(found: Findings, seeds: int) -> Iterator[Drawn]:
    """Yield regret against simulated hours: the first `seeds` searches of a row, run again.

    Raises Unsupported for a suite that trains, InputError for a table without times.
    """
    suite = found.suite
    rows = replay.wallclock(suite.model_copy(update={"seeds": min(seeds, suite.seeds)}), [1])
    yield "regret_time", partial(wallclock.figure, rows)


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
