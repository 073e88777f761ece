"""Figures and tables that one paper has and others do not, for the suites that can make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nasbench_evo import algorithms
from nasbench_evo.algorithms.generations import Generation
from nasbench_evo.analysis import statistics
from nasbench_evo.figures.ablations import generations, lineage
from nasbench_evo.figures.architectures import graphs
from nasbench_evo.randomness import stream
from nasbench_evo.replays.generations import PRINTED, Repeated
from nasbench_evo.results.ablation import Factor, Runs
from nasbench_evo.results.ablation_text import Section
from nasbench_evo.spaces import Genotype

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Drawn = tuple[str, Callable[[], tuple["Figure", str]]]


def sections(
    factor: Factor, runs: Runs, traces: generations.Found
) -> Iterator[tuple[Section, list[Drawn]]]:
    """Yield further sections of a factor with what to draw in each."""
    dataset = runs.suite.datasets[0]
    reference = factor.levels[factor.reference].row
    if (reference, dataset) not in traces:
        return
    own = traces[reference, dataset]
    wanted = algorithms.get(factor.algorithm).paper_figures
    source = wanted.get(factor.names[0]) if len(factor.names) == 1 else None
    if source is None:
        return
    name = factor.algorithm
    if source.succession:
        yield (
            Section(f"Succession progress of one run ({source.succession})"),
            [(f"{name}_succession", lambda: generations.succession(own))],
        )
    if source.saved_cost:
        yield _saved_cost(factor, runs, traces, source.saved_cost), []
    if source.population:
        rows = {level.text: level.row for level in factor.levels if (level.row, dataset) in traces}
        members = {text: traces[row, dataset] for text, row in rows.items()}
        yield (
            Section(f"Average, best and worst individual ({source.population})"),
            [(f"{name}_population", lambda: generations.population(members))],
        )
    if source.statistics:
        title = f"Generations of one run, seed {own.replayed[0].seed} ({source.statistics})"
        yield Section(title, table=_table_1(own)), []
        title = f"The same statistics as means over {len(own.generations)} runs"
        yield Section(title, table=_table_1_means(own.generations)), []
    if source.lineage:
        yield _lineage(own, name, source.lineage)
    if source.cells and graphs.draws_found(own.judge.space):
        yield (
            Section(f"Cells that two independent runs found ({source.cells})"),
            [(f"{name}_cells", lambda: graphs.found(own.runs, own.judge.space, 2))],
        )


def _lineage(own: Repeated, name: str, source: str) -> tuple[Section, list[Drawn]]:
    said = (lineage.sentence(own),)
    return (
        Section(f"Parents and children ({source})", said=said),
        [(f"{name}_lineage", lambda: lineage.scatter(own))],
    )


def _table_1(own: Repeated) -> tuple[tuple[str, ...], ...]:
    """Return Table 1 of one run: what the search saw of each generation, percent."""
    found = own.generations[0]
    lines: list[tuple[str, ...]] = [
        ("Gen", "Max %", "Min %", "Avg %", "Med %", "Std-D", "Best individual")
    ]
    for number in PRINTED:
        if number < len(found):
            generation = found[number]
            stats = [f"{value:.2f}" for value in _statistics(generation)]
            lines.append((f"{number:02}", *stats, f"`{''.join(map(str, generation.champion))}`"))
    return tuple(lines)


def _statistics(generation: Generation[Genotype]) -> tuple[float, float, float, float, float]:
    seen = np.array(generation.fitness)
    spread = float(seen.std(ddof=1)) if len(seen) > 1 else 0.0
    return float(seen.max()), float(seen.min()), float(seen.mean()), float(np.median(seen)), spread


def _table_1_means(found: Sequence[Sequence[Generation[Genotype]]]) -> tuple[tuple[str, ...], ...]:
    """Return Table 1 averaged over runs, with the 95% interval of the mean of the average."""
    lines = [("Gen", "runs", "Max %", "Min %", "Avg % [95% interval]", "Med %", "Std-D")]
    for number in PRINTED:
        stats = np.array([_statistics(run[number]) for run in found if number < len(run)])
        if len(stats) < 2:
            continue
        high, low, _, middle, spread = (f"{value:.2f}" for value in stats.mean(axis=0))
        rng = stream(0, "bootstrap of Table 1").generator
        mean, *limits = statistics.bootstrap_interval(stats[:, 2], "mean", rng=rng)
        text = f"{mean:.2f} [{limits[0]:.2f}, {limits[1]:.2f}]"
        lines.append((f"{number:02}", f"{len(stats)}", high, low, text, middle, spread))
    return tuple(lines)


def _saved_cost(factor: Factor, runs: Runs, traces: generations.Found, source: str) -> Section:
    """Return what a generation costs with and without extinction, in full trainings."""
    said = []
    for dataset in runs.suite.datasets:
        costs = {
            level.text: np.array(
                [_per_generation(run) for run in traces[level.row, dataset].generations]
            )
            for level in factor.levels
            if (level.row, dataset) in traces
        }
        parts = []
        for text, values in costs.items():
            rng = stream(0, "bootstrap of the extinction").generator
            if np.ptp(values) == 0:
                parts.append(f"{values[0]:.2f} with {text}")
                continue
            mean, low, high = statistics.bootstrap_interval(values, "mean", rng=rng)
            parts.append(f"{mean:.2f} [{low:.2f}, {high:.2f}] with {text}")
        said.append(
            f"{dataset}, {factor.shown} ({factor.preset}): full trainings spent in a "
            f"generation, mean over runs with 95% bootstrap interval: {'; '.join(parts)}."
        )
    return Section(f"Cost of a generation, {factor.preset} ({source})", said=tuple(said))


def _per_generation(run: Sequence[Generation[Genotype]]) -> float:
    return (run[-1].spent - run[0].spent) / max(1, len(run) - 1)
