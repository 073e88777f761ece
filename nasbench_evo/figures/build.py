"""All figures of a results folder, and for an ablation the sentences beside them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nasbench_evo.algorithms.stand_ins import StandIn
from nasbench_evo.figures import style
from nasbench_evo.figures.ablations import factors as factor_figures
from nasbench_evo.figures.ablations import generations
from nasbench_evo.figures.ablations import paper_figures as papers
from nasbench_evo.figures.suites import overview
from nasbench_evo.files import write_text
from nasbench_evo.replays import generations as replays
from nasbench_evo.replays.generations import Repeated
from nasbench_evo.replays.pareto import Fronts
from nasbench_evo.results import ablation_text, measures
from nasbench_evo.results.ablation import Effect, Factor, Runs, factors
from nasbench_evo.results.ablation_text import Section
from nasbench_evo.results.folder import Stored, read
from nasbench_evo.results.labels import row_labels
from nasbench_evo.results.measures import Measured, merged
from nasbench_evo.results.runs import UnitRuns

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


@dataclass(frozen=True)
class Page:
    """How figures are made for a page: see `style.using`.

    Without `notes` their captions are files beside them, `NAME.txt`. `by_time` adds regret against
    simulated time, for which `SEEDS_TRACED` searches of a row are run again.
    """

    look: str = "paper"
    notes: bool = True
    dpi: int | None = None
    width: str | None = None
    by_time: bool = False


def make(
    folder: Path, formats: Sequence[str], page: Page, *, target: Path | None = None
) -> list[Path]:
    """Write every figure of a results folder, and ablation.md and .json; return the paths.

    They are written into `target`, by default the results folder itself.

    Nothing is searched anew but for figures by generation and by time, whose runs are repeated
    from their seeds, or the journals of trainings (generations are checked against the stored
    traces). Raises InputError,
    DataError and Unsupported.
    """
    stored = read(folder)
    target = target or folder
    repeats = Repeats(stored)
    measured = repeats.measured()
    captions: dict[str, str] = {}
    made = draw(
        stored,
        target,
        formats,
        page,
        kit=True,
        captions=captions,
        repeats=repeats,
        measured=measured,
    )
    paths = made.paths
    if not page.notes:
        paths = paths + [
            write_text(target / f"{name}.txt", f"{words}\n")
            for name, words in captions.items()
            if words
        ]
    if len(made.sections) == 1:
        return paths
    suite = stored.suite
    if measured:  # beside what `retrain` has found
        known = merged([*measures.replayed(target), *measured])
        paths = [*paths, measures.write(target / measures.REPLAYED, suite.name, known)]
    notes = stored.kind.notes(stored.found)
    text = ablation_text.to_markdown(
        suite.name, suite.description, made.sections, notes, regrets=not stored.kind.trains
    )
    content = ablation_text.to_json(suite.name, made.effects, made.sections)
    return paths + ablation_text.write(target, text, content)


def draw(
    stored: Stored,
    target: Path,
    formats: Sequence[str],
    page: Page,
    *,
    fronts: Fronts | None = None,
    without: Collection[str] = (),
    kit: bool = False,
    captions: dict[str, str] | None = None,
    repeats: Repeats | None = None,
    measured: Sequence[Measured] = (),
) -> Made:
    """Draw the figures of stored runs into a folder; the first section is the overview.

    With `fronts` the overview has the Pareto fronts too, with `kit` what compares rows run by run.
    `captions` gets the words of each figure by its name. `repeats` keeps the runs that were
    repeated, `measured` is what they showed. `without` are names of figures that the overview
    lacks.
    """
    paths: list[Path] = []
    found = stored.found
    with style.using(
        page.look, notes=page.notes, dpi=page.dpi, width=page.width, captions=captions
    ):
        chosen = list(overview.drawings(found, fronts, without))
        if kit:
            chosen += overview.paper_kit(found)
        if page.by_time:
            chosen += overview.regret_by_time(found, SEEDS_TRACED)
        shown = [overview.save(target, drawn, formats, paths) for drawn in chosen]
        sections, effects = _ablation(
            stored, repeats or Repeats(stored), measured, target, formats, paths
        )
    return Made(paths, [Section("Overview", tuple(shown)), *sections], effects)


def _ablation(
    stored: Stored,
    repeats: Repeats,
    measured: Sequence[Measured],
    target: Path,
    formats: Sequence[str],
    paths: list[Path],
) -> tuple[list[Section], list[Effect]]:
    """Draw the figures of every factor; return the text's sections and the effects."""
    runs = repeats.runs
    known = merged([*stored.measures, *measured])
    labels = {row.label: text for row, text in row_labels(stored.collected).items()}
    sections: list[Section] = []
    every: list[Effect] = []
    for factor in factors(runs.suite):
        traces = repeats.generations(factor)
        captions = [
            _saved(target, drawn, formats, paths)
            for drawn in _figures(factor, runs, traces, trains=stored.kind.trains)
        ]
        if not stored.kind.trains:  # there is a regret to speak of
            section, found = ablation_text.factor_section(factor, runs, captions)
            sections.append(section)
            every += found
        elif captions:
            sections.append(Section(ablation_text.title(factor), tuple(captions)))
        if (more := ablation_text.measured_section(factor, known, labels)) is not None:
            sections.append(more)
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


def _figures(
    factor: Factor, runs: Runs, traces: generations.Found, *, trains: bool
) -> Iterator[Drawn]:
    """Yield what to draw of a factor; without regrets what its generations show."""
    if not trains:
        yield from _of_regrets(factor, runs)
    if traces and (generational := factor.generational) is not None:
        name = f"{factor.key}_progress"
        yield name, partial(generations.progress, factor, generational, runs, traces)


def _of_regrets(factor: Factor, runs: Runs) -> Iterator[Drawn]:
    key = factor.key
    if factor.crossed:
        for dataset in runs.suite.datasets:
            if all((level.row, dataset) in runs.units for level in factor.levels):
                yield f"{key}_{dataset}", partial(factor_figures.heat_map, factor, runs, dataset)
                if factor_figures.ends_elsewhere(factor, runs, dataset):
                    name = f"{key}_{dataset}_ended"
                    yield name, partial(factor_figures.heat_map, factor, runs, dataset, ended=True)
        return
    yield key, partial(factor_figures.levels, factor, runs)
    if factor_figures.costs_differ(factor, runs):
        yield f"{key}_cost", partial(factor_figures.cost, factor, runs)


class Repeats:
    """Runs of an ablation that were repeated, each once: generations and measures of its rows."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self.runs = Runs(stored.suite, stored.collected)
        self._known: dict[tuple[str, str], Repeated] = {}

    def of(self, factor: Factor) -> dict[tuple[str, str], Repeated]:
        """Return the first runs of every level, by row label and data set.

        None of algorithms that are known by name only, or whose journals are gone: they cannot be
        repeated.
        """
        keys = [(x.row, d) for x in factor.levels for d in self.runs.suite.datasets]
        units = self.runs.units
        there = [k for k in keys if k in units and not _by_name(units[k])]
        return {key: found for key in there if (found := self._of(key)).replayed}

    def generations(self, factor: Factor) -> generations.Found:
        """Return the runs of a factor that have generations; none for a grid.

        A curve by generation makes sense for enough of them (in the first run), of one size, whose
        individuals are judged.
        """
        if factor.crossed or factor.generational is None or _sized(factor):
            return {}
        first = (factor.levels[factor.reference].row, self.runs.suite.datasets[0])
        found = {key: some for key, some in self.of(factor).items() if some.generations}
        if first not in found or len(found[first].generations[0]) < _FEWEST:
            return {}
        return found

    def measured(self) -> list[Measured]:
        """Return what repeating the runs shows, for replayed.json."""
        labels, first = row_labels(self._stored.collected), self._stored.suite.first_seed
        found = {
            key: replays.measured(some, labels[some.runs.unit.row], first)
            for factor in factors(self._stored.suite)
            if not _sized(factor)
            for key, some in self.of(factor).items()
        }
        return [one for one in found.values() if one.measures]

    def _of(self, key: tuple[str, str]) -> Repeated:
        if key not in self._known:
            runs = self.runs.units[key]
            self._known[key] = replays.of_runs(runs, SEEDS_TRACED, self._stored.folder)
        return self._known[key]


def _by_name(runs: UnitRuns) -> bool:
    """Whether an algorithm's code is not imported."""
    return isinstance(runs.unit.row.configured, StandIn)


def _sized(factor: Factor) -> bool:
    """Whether the levels change what a generation costs, so that generations do not compare."""
    generational = factor.generational
    return generational is not None and any(n in generational.sized_by for n in factor.names)
