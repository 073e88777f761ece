"""Layers B and C of the gate: the distribution of search quality, and its ordering."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from nasbench_evo import tables
from nasbench_evo.analysis import statistics
from nasbench_evo.errors import InputError
from nasbench_evo.gate.baseline import Baseline
from nasbench_evo.gate.measured import Key, Measured, Sample, Scale, length, scale
from nasbench_evo.randomness import stream

ALPHA = 0.005  # level of layer B over all its tests together; layer C's over its presets
MARGIN = 0.1  # of the gap between random search and regularized evolution
CONFIDENCE = 0.95  # of the one-sided upper bound of the difference
LEAST_BETTER = 0.8  # P(regularized evolution beats random search)
_TINY = 1e-300  # p values below count as this: their normal quantile stays finite
RANDOM = "random_search (paper)"
REFERENCE = "regularized_evolution (paper)"

Verdict = Literal["equal", "non-inferior", "not shown", "inferior"]
Pair = tuple[Sample, Sample]  # before, after: paired by seed


@dataclass(frozen=True)
class Cell:
    """Layer B for one unit; regrets in percentage points.

    `p_final`, `p_area`: one-sided Mann-Whitney, Holm over both measures of all cells. `upper`:
    one-sided 95% bootstrap bound of the paired difference in the IQM of the final regret.
    """

    label: str
    dataset: str
    n: int
    changed: int  # seeds with another final cell or another area
    iqm_before: float
    iqm_after: float
    difference: float
    upper: float
    margin: float
    area_before: float  # mean over runs of the mean regret over evaluations
    area_after: float
    p_final: float
    p_area: float
    verdict: Verdict


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
    table = {m.unit.dataset: m.unit.table for m in measured.values()}
    return {dataset: scale(tables.load(name), dataset) for dataset, name in table.items()}


def worse(pairs: Sequence[Pair], regrets: Sequence[Scale]) -> list[tuple[float, float]]:
    """Return for each pair the p values of a worse final regret and a worse area.

    One-sided Mann-Whitney, Holm over all of them. Where every seed gives the same value there is
    nothing to test: p is 1.
    """
    p = []
    for (before, after), regret in zip(pairs, regrets, strict=True):
        p.append(_larger(regret.counts[after.final], regret.counts[before.final]))
        p.append(_larger(after.area, before.area))
    adjusted = statistics.holm(p).tolist()
    return list(zip(adjusted[::2], adjusted[1::2], strict=True))


def _larger(after: np.ndarray, before: np.ndarray) -> float:
    if np.array_equal(after, before):
        return 1.0
    return statistics.mann_whitney(after, before, "greater")


def margins(baseline: Baseline, regrets: Mapping[str, Scale]) -> dict[str, float]:
    """Return the margin of non-inferiority of each data set, percentage points.

    A tenth of the baseline's gap in IQM final regret between random search and regularized
    evolution. Raises InputError if the baseline lacks one of them, or there is no gap.
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
        if not random > reference:
            raise InputError(
                f"{dataset}: the baseline's regularized evolution does not beat its random "
                "search; such a baseline can judge nothing. Give it more evaluations or seeds."
            )
        result[dataset] = MARGIN * (random - reference)
    return result


def distribution(
    baseline: Baseline, measured: Mapping[Key, Measured], samples: Mapping[Key, Sample]
) -> list[Cell]:
    """Return layer B for `samples`, each paired with the same seeds of the baseline."""
    regrets = scales(measured)
    margin = margins(baseline, regrets)
    pairs = [(baseline.entries[k].sample.head(len(s.final)), s) for k, s in samples.items()]
    p_values = worse(pairs, [regrets[dataset] for _, dataset in samples])
    return [
        _cell(
            (label, dataset),
            pair,
            p,
            regrets[dataset],
            margin[dataset],
            length(measured[label, dataset].unit),
        )
        for (label, dataset), pair, p in zip(samples, pairs, p_values, strict=True)
    ]


def _cell(
    key: Key, pair: Pair, p: tuple[float, float], regret: Scale, margin: float, evaluations: int
) -> Cell:
    before, after = pair
    old, new = (regret.counts[sample.final] * regret.unit for sample in pair)
    bound = upper_bound(new, old)
    changed = int(((before.final != after.final) | (before.area != after.area)).sum())
    area = regret.unit / evaluations
    return Cell(
        *key,
        n=len(new),
        changed=changed,
        iqm_before=statistics.iqm(old),
        iqm_after=statistics.iqm(new),
        difference=statistics.iqm(new) - statistics.iqm(old),
        upper=bound,
        margin=margin,
        area_before=float(before.area.mean()) * area,
        area_after=float(after.area.mean()) * area,
        p_final=p[0],
        p_area=p[1],
        verdict=verdict(changed, p, bound, margin),
    )


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


def verdict(changed: int, p: tuple[float, float], upper: float, margin: float) -> Verdict:
    """Return what a cell shows.

    `inferior` needs evidence of being worse; `non-inferior` evidence of not being worse by the
    margin; `not shown` is neither, as between few or noisy runs.
    """
    if not changed:
        return "equal"
    if min(p) < ALPHA:
        return "inferior"
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
        figures = {c.dataset: min(c.p_final, c.p_area) for c in cells if c.label == label}
        found = all(c.verdict == "inferior" for c in cells if c.label == label)
        name = f"{label} stopped at its initial population fails layer B (p)"
        orders.append(Order(name, figures, max(figures.values()), f"< {ALPHA}", found))
    return orders
