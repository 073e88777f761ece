"""All figures of a results folder, and for an ablation the sentences beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_evo.algorithms.generations import Generation
from nasbench_evo.figures import style
from nasbench_evo.figures.ablations import factors as factor_figures
from nasbench_evo.figures.ablations import generations
from nasbench_evo.figures.ablations import paper_figures as papers
from nasbench_evo.figures.suites import overview
from nasbench_evo.replays import generations as ablation_traces
from nasbench_evo.replays.pareto import Fronts
from nasbench_evo.results import ablation_text
from nasbench_evo.results.ablation import Effect, Factor, Runs, factors
from nasbench_evo.results.ablation_text import Section
from nasbench_evo.results.folder import Stored, read

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Drawn = tuple[str, Callable[[], tuple["Figure", str]]]  # file name, how to draw it
SEEDS_TRACED = 30  # runs of a row whose generations are repeated
_FEWEST = 5  # generations of a progress figure


@dataclass(frozen=True)
class Made:
    """What was drawn: the files, the sections that show them, and the effects behind sentences."""

    paths: list[Path]
    sections: list[Section]
    effects: list[Effect]


def make(
    folder: Path, formats: Sequence[str], look: str, *, target: Path | None = None
) -> list[Path]:
    """Write every figure of a results folder, and ablation.md and .json; return the paths.

    They are written into `target`, by default the results folder itself.

    Nothing is searched anew but for generation figures, whose runs are repeated from their seeds
    and checked against the stored traces. Raises InputError and DataError.
    """
    stored = read(folder)
    target = target or folder
    made = draw(stored, target, formats, look)
    if len(made.sections) == 1:
        return made.paths
    suite = stored.suite
    notes = stored.kind.notes(stored.found)
    text = ablation_text.to_markdown(suite.name, suite.description, made.sections, notes)
    content = ablation_text.to_json(suite.name, made.effects, made.sections)
    return made.paths + ablation_text.write(target, text, content)


def draw(
    stored: Stored,
    target: Path,
    formats: Sequence[str],
    look: str,
    *,
    notes: bool = True,
    fronts: Fronts | None = None,
) -> Made:
    """Draw the figures of stored runs into a folder; the first section is the overview.

    With `notes` each image says what its marks mean; with `fronts` the overview has the Pareto
    fronts too.
    """
    paths: list[Path] = []
    with style.using(look, notes=notes):
        captions = [
            overview.save(target, drawn, formats, paths)
            for drawn in overview.drawings(stored.found, fronts)
        ]
        sections, found = (
            ([], []) if stored.kind.trains else _ablation(stored, target, formats, paths)
        )
    return Made(paths, [Section("Overview", tuple(captions)), *sections], found)


def _ablation(
    stored: Stored, target: Path, formats: Sequence[str], paths: list[Path]
) -> tuple[list[Section], list[Effect]]:
    """Draw the figures of every factor; return the text's sections and the effects."""
    runs = Runs(stored.suite, stored.collected)
    sections: list[Section] = []
    every: list[Effect] = []
    for factor in factors(stored.suite):
        traces = _traces(factor, runs)
        captions = [
            _saved(target, drawn, formats, paths) for drawn in _figures(factor, runs, traces)
        ]
        section, found = ablation_text.factor_section(factor, runs, captions)
        sections.append(section)
        every += found
        for extra, own in papers.sections(factor, runs, traces):
            captions = [_saved(target, drawn, formats, paths) for drawn in own]
            sections.append(Section(extra.title, tuple(captions), extra.said, extra.table))
    return sections, every


def _saved(
    folder: Path, drawn: Drawn, formats: Sequence[str], paths: list[Path]
) -> tuple[str, str]:
    name, draw = drawn
    figure, caption = draw()
    paths += style.save(figure, folder / name, formats)
    return name, caption


def _figures(factor: Factor, runs: Runs, traces: generations.Found) -> Iterator[Drawn]:
    """Yield what to draw of a factor."""
    key = factor.key
    if factor.crossed:
        for dataset in runs.suite.datasets:
            if all((level.row, dataset) in runs.units for level in factor.levels):
                yield f"{key}_{dataset}", partial(factor_figures.heat_map, factor, runs, dataset)
        return
    yield key, partial(factor_figures.levels, factor, runs)
    if factor_figures.costs_differ(factor, runs):
        yield f"{key}_cost", partial(factor_figures.cost, factor, runs)
    if traces and (generational := factor.generational) is not None:
        yield f"{key}_progress", partial(generations.progress, factor, generational, runs, traces)


def _traces(factor: Factor, runs: Runs) -> generations.Found:
    """Return the generations of a factor's runs; none for a grid or without generations."""
    if factor.crossed or not _generational(factor, runs):
        return {}
    found: dict[tuple[str, str], Sequence[Sequence[Generation[int]]]] = {}
    for level in factor.levels:
        for dataset in runs.suite.datasets:
            if (level.row, dataset) in runs.units:
                unit_runs = runs.units[level.row, dataset]
                traced = ablation_traces.of_runs(unit_runs, SEEDS_TRACED)
                found[level.row, dataset] = [some for some in traced if some]
    return {key: some for key, some in found.items() if some}


def _generational(factor: Factor, runs: Runs) -> bool:
    """Whether a curve by generation makes sense: enough of them (in the first run), of one size."""
    generational = factor.generational
    if generational is None or any(name in generational.sized_by for name in factor.names):
        return False
    key = (factor.levels[factor.reference].row, runs.suite.datasets[0])
    return key in runs.units and len(ablation_traces.of_runs(runs.units[key], 1)[0]) >= _FEWEST
