"""Layers B and C of the gate: the distribution of search quality, and its ordering."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from nasbench_evo import tables
from nasbench_evo.analysis import statistics
from nasbench_evo.errors import InputError
from nasbench_evo.gate import traces
from nasbench_evo.gate.baseline import Baseline
from nasbench_evo.gate.cells import is_twin
from nasbench_evo.gate.measured import (
    MEASURES,
    QUALITY,
    Key,
    Measured,
    Sample,
    Scale,
    length,
    scale,
)
from nasbench_evo.randomness import stream
from nasbench_evo.tables import twins as table_twins

ALPHA = 0.005  # level of layer B over all its tests together; layer C's over its presets
MARGIN = 0.1  # of the gap between random search and regularized evolution
CONFIDENCE = 0.95  # of the one-sided upper bound of the difference
LEAST_BETTER = 0.8  # P(regularized evolution beats random search)
_EVEN = 0.5  # P(better) of searches that are as good
FOUND = 0.25  # share of regularized evolution's runs that find the best genotype where it is known
EXACT = 0.001  # level at which random search is compared with its exact distribution
_TINY = 1e-300  # p values below count as this: their normal quantile stays finite
RANDOM = "random_search (paper)"
REFERENCE = "regularized_evolution (paper)"

Verdict = Literal[
    "equal", "non-inferior", "not shown", "inferior", "better", "different", "rescored"
]
FAILING = ("inferior", "better", "different", "rescored")
Pair = tuple[Sample, Sample]  # before, after: paired by seed


@dataclass(frozen=True)
class Cell:
    """Layer B for one unit; regrets in percentage points.

    `p_*`: two-sided Mann-Whitney of a measure of `Sample`, Holm over all measures of all cells; 1
    where it is not measured. `upper`: one-sided 95% bootstrap bound of the paired difference in the
    IQM of the final regret.
    """

    label: str
    dataset: str
    n: int
    changed: int  # seeds with another value of some measure
    rescored: int  # of these, the seeds whose trace is the same: the same search, other figures
    iqm_before: float
    iqm_after: float
    difference: float
    upper: float
    margin: float
    area_before: float  # mean over runs of the mean regret over evaluations
    area_after: float
    p_final: float
    p_area: float
    p_returned: float
    p_seconds: float
    p_changes: float
    verdict: Verdict

    @property
    def p(self) -> dict[str, float]:
        """The p value of each measure."""
        return {measure: getattr(self, f"p_{measure}") for measure in MEASURES}


@dataclass(frozen=True)
class Order:
    """Layer C, one requirement: the figure on each data set, the one judged, and its bound."""

    requirement: str
    figures: Mapping[str, float]
    value: float
    bound: str
    passed: bool


def scales(measured: Mapping[Key, Measured]) -> dict[str, Scale]:
    """Return the exact regrets of every data set."""
    units = {m.unit.dataset: m.unit for m in measured.values()}
    return {name: scale(tables.load(unit.table), unit.of_table) for name, unit in units.items()}


def own(measured: Mapping[Key, Measured]) -> dict[Key, Measured]:
    """Return what was measured of the suite itself, without twins."""
    return {key: m for key, m in measured.items() if not is_twin(m.unit)}


def compare(pairs: Sequence[Pair], regrets: Sequence[Scale]) -> list[dict[str, float]]:
    """Return for each pair the p value of each measure: is it another than before?

    Two-sided Mann-Whitney, Holm over all of them. Where every seed gives the same value, or
    nothing was measured, there is nothing to test: p is 1.
    """
    tested, p = [], []
    for i, ((before, after), regret) in enumerate(zip(pairs, regrets, strict=True)):
        for measure in MEASURES:
            old, new = (sample.values(measure, regret) for sample in (before, after))
            if len(old) and len(new):
                tested.append((i, measure))
                p.append(_apart(new, old))
    found = [dict.fromkeys(MEASURES, 1.0) for _ in pairs]
    for (i, measure), adjusted in zip(tested, statistics.holm(p).tolist(), strict=True):
        found[i][measure] = adjusted
    return found


def _apart(after: np.ndarray, before: np.ndarray) -> float:
    if np.array_equal(after, before):
        return 1.0
    return statistics.mann_whitney(after, before)


def margins(
    baseline: Baseline, regrets: Mapping[str, Scale], twins: Collection[str] = ()
) -> dict[str, float]:
    """Return the margin of non-inferiority of each data set, percentage points.

    A tenth of the baseline's gap in IQM final regret between random search and regularized
    evolution; 0 on a twin without a gap. Raises InputError if the baseline lacks one of the two, or
    there is no gap on a data set of the suite.
    """
    result = {}
    for dataset, regret in regrets.items():
        try:
            samples = [baseline.entries[label, dataset].sample for label in (RANDOM, REFERENCE)]
        except KeyError as error:
            raise InputError(
                f"The gate needs the rows {RANDOM} and {REFERENCE} on every data set: its margin "
                f"is a share of the gap between them. Add them to the suite (missing: {error})."
            ) from error
        random, reference = (statistics.iqm(regret.counts[s.final] * regret.unit) for s in samples)
        if not random > reference and dataset not in twins:
            raise InputError(
                f"{dataset}: the baseline's regularized evolution does not beat its random "
                "search; such a baseline can judge nothing. Give it more evaluations or seeds."
            )
        result[dataset] = MARGIN * max(random - reference, 0.0)
    return result


def distribution(
    baseline: Baseline, measured: Mapping[Key, Measured], samples: Mapping[Key, Sample]
) -> list[Cell]:
    """Return layer B for `samples`, each paired with the same seeds of the baseline."""
    regrets = scales(measured)
    twins = {m.unit.dataset for m in measured.values() if is_twin(m.unit)}
    margin = margins(baseline, regrets, twins)
    pairs = [(baseline.entries[k].sample.head(len(s.final)), s) for k, s in samples.items()]
    p_values = compare(pairs, [regrets[dataset] for _, dataset in samples])
    return [
        _cell(baseline, measured[key], pair, p, regrets[key[1]], margin[key[1]])
        for key, pair, p in zip(samples, pairs, p_values, strict=True)
    ]


def _cell(
    baseline: Baseline,
    measured: Measured,
    pair: Pair,
    p: Mapping[str, float],
    regret: Scale,
    margin: float,
) -> Cell:
    before, after = pair
    old, new = (regret.counts[sample.final] * regret.unit for sample in pair)
    bound = upper_bound(new, old)
    changed = np.zeros(len(new), dtype=bool)
    for measure in MEASURES:
        a, b = (getattr(sample, measure) for sample in pair)
        if len(a) == len(b) == len(changed):
            changed |= a != b
        elif len(a) != len(b):  # measured only before, or only now
            changed[:] = True
    rescored = 0
    if after is measured.sample:  # not stopped on purpose
        same = traces.unchanged(baseline.entries[measured.key], measured)
        rescored = int(changed[: len(same)][same].sum())
    area = regret.unit / length(measured.unit)
    return Cell(
        *measured.key,
        n=len(new),
        changed=int(changed.sum()),
        rescored=rescored,
        iqm_before=statistics.iqm(old),
        iqm_after=statistics.iqm(new),
        difference=statistics.iqm(new) - statistics.iqm(old),
        upper=bound,
        margin=margin,
        area_before=float(before.area.mean()) * area,
        area_after=float(after.area.mean()) * area,
        p_final=p["final"],
        p_area=p["area"],
        p_returned=p["returned"],
        p_seconds=p["seconds"],
        p_changes=p["changes"],
        verdict=verdict(int(changed.sum()), rescored, p, worsened(pair, regret), bound, margin),
    )


def worsened(pair: Pair, regret: Scale) -> dict[str, bool]:
    """Return for each measure of quality whether a run is likely worse than one before."""
    found = {}
    for measure in QUALITY:
        old, new = (sample.values(measure, regret) for sample in pair)
        if len(old) and len(new):
            found[measure] = statistics.probability_of_improvement(new, old) < _EVEN
    return found


def upper_bound(after: np.ndarray, before: np.ndarray) -> float:
    """Return the one-sided bootstrap bound of IQM(after) - IQM(before), pairs [n] kept together."""
    if np.array_equal(after, before):
        return 0.0
    if (after - before == after[0] - before[0]).all():
        return float(after[0] - before[0])
    rng = stream(0, "bootstrap of the gate").generator
    confidence = 2 * CONFIDENCE - 1  # its upper end is the one-sided bound
    return statistics.paired_difference_interval(
        after, before, "iqm", confidence=confidence, rng=rng
    ).high


def verdict(
    changed: int,
    rescored: int,
    p: Mapping[str, float],
    worse: Mapping[str, bool],
    upper: float,
    margin: float,
) -> Verdict:
    """Return what a cell shows.

    `rescored`: a search that did not change has other figures. `inferior` and `better` need
    evidence in a measure of quality, the first counts if there is both; `different` needs it in
    another measure. `non-inferior` needs evidence of not being worse by the margin; `not shown` is
    none of these, as between few or noisy runs.
    """
    if not changed:
        return "equal"
    if rescored:
        return "rescored"
    found = {measure for measure, value in p.items() if value < ALPHA}
    if any(worse.get(measure, False) for measure in found):
        return "inferior"
    if found & set(QUALITY):
        return "better"
    if found:
        return "different"
    return "non-inferior" if upper < margin else "not shown"


def ordering(measured: Mapping[Key, Measured], must_beat: Iterable[str]) -> list[Order]:
    """Return layer C: regularized evolution and the rows `must_beat` against random search."""
    regrets = scales(measured)
    orders = [_reference(measured, regrets)]
    labels = list(must_beat)
    p_values = [_stouffer(measured, regrets, label) for label in labels]
    adjusted = statistics.holm(p_values).tolist() if labels else []
    for label, p in zip(labels, adjusted, strict=True):
        name = f"{label} beats random search (p)"
        figures = _better(measured, regrets, label)
        orders.append(Order(name, figures, p, f"< {ALPHA}", p < ALPHA))
    return orders


def _final(measured: Mapping[Key, Measured], regrets: Mapping[str, Scale], key: Key) -> np.ndarray:
    return regrets[key[1]].counts[measured[key].sample.final]


def _better(
    measured: Mapping[Key, Measured], regrets: Mapping[str, Scale], label: str
) -> dict[str, float]:
    """Return the probability of a lower final regret than random search on each data set."""
    figures = {}
    for dataset in regrets:
        ours = _final(measured, regrets, (label, dataset))
        random = _final(measured, regrets, (RANDOM, dataset))
        figures[dataset] = statistics.probability_of_improvement(ours, random)
    return figures


def _reference(measured: Mapping[Key, Measured], regrets: Mapping[str, Scale]) -> Order:
    figures = _better(measured, regrets, REFERENCE)
    value = float(np.mean(list(figures.values())))
    name = "P(regularized_evolution (paper) beats random search), mean over data sets"
    return Order(name, figures, value, f">= {LEAST_BETTER}", value >= LEAST_BETTER)


def _stouffer(measured: Mapping[Key, Measured], regrets: Mapping[str, Scale], label: str) -> float:
    """Return one p of a lower regret than random search over all data sets (Stouffer's z)."""
    normal = NormalDist()
    z = []
    for dataset in regrets:
        ours = _final(measured, regrets, (label, dataset))
        p = statistics.mann_whitney(ours, _final(measured, regrets, (RANDOM, dataset)), "less")
        z.append(-normal.inv_cdf(min(max(p, _TINY), 1 - 1e-15)))
    return normal.cdf(-sum(z) / math.sqrt(len(z)))


def initial_only(baseline: Baseline, measured: Mapping[Key, Measured]) -> list[Order]:
    """Return, for layer C, whether layer B finds a search that stops at its initial population.

    One requirement for each row with a `population_size`: inferior on every data set.
    """
    samples = {key: m.initial for key, m in measured.items() if m.initial is not None}
    cells = distribution(baseline, measured, samples) if samples else []
    orders = []
    for label in dict.fromkeys(cell.label for cell in cells):
        figures = {c.dataset: min(c.p.values()) for c in cells if c.label == label}
        found = all(c.verdict == "inferior" for c in cells if c.label == label)
        name = f"{label} stopped at its initial population fails layer B (p)"
        orders.append(Order(name, figures, max(figures.values()), f"< {ALPHA}", found))
    return orders


def repeated(measured: Mapping[Key, Measured]) -> Order:
    """Return, for layer C, whether every seed has a trace of its own.

    The seed must reach all that is random: on a table without noise, the algorithm alone.
    """
    twice = {
        f"{label} on {dataset}": float(len(m.hashes) - len(set(m.hashes)))
        for (label, dataset), m in measured.items()
        if len(set(m.hashes)) < len(m.hashes)
    }
    number = sum(twice.values())
    return Order("runs with the trace of another seed", twice, number, "= 0", not number)


def known_answers(measured: Mapping[Key, Measured]) -> list[Order]:
    """Return, for layer C, what is known of a search without running it.

    On a table without noise the final regret of random search has an exact distribution; on an
    additive table the best genotype is known, and regularized evolution must find it.
    """
    orders = []
    for (label, dataset), m in measured.items():
        kind = m.unit.table.partition(":")[2]
        if label == RANDOM and kind:
            p = _as_drawn(scales({m.key: m})[dataset], m)
            name = f"{RANDOM} has the exact mean regret of uniform draws, {dataset} (p)"
            orders.append(Order(name, {dataset: p}, p, f">= {EXACT}", p >= EXACT))
        if label == REFERENCE and kind == table_twins.ADDITIVE:
            space = tables.load(m.unit.table).space
            best = space.index(table_twins.best_of(space))
            share = float((m.sample.final == best).mean())
            name = f"share of runs of {REFERENCE} that find the known best genotype"
            orders.append(Order(name, {dataset: share}, share, f">= {FOUND}", share >= FOUND))
    return orders


def _as_drawn(regret: Scale, m: Measured) -> float:
    """Return the p value of the mean final regret being that of the best of E uniform draws."""
    counts = np.sort(regret.counts)
    draws = int(m.unit.budget.evaluations or 1)
    above = 1 - np.arange(len(counts) + 1) / len(counts)
    chance = above[:-1] ** draws - above[1:] ** draws  # that it is the i-th best
    mean = float(chance @ counts)
    deviation = math.sqrt(float(chance @ (counts - mean) ** 2) / len(m.sample.final))
    z = (float(regret.counts[m.sample.final].mean()) - mean) / deviation
    return 2 * NormalDist().cdf(-abs(z))
