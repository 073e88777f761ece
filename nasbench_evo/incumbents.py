"""The incumbent: of all genotypes that a search has evaluated, the one that it would recommend.

Rule "seen" takes the best single answer, which on noisy answers is partly luck; rule "mean" takes
the best average over a genotype's answers in the run. Full trainings come before partial ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import accumulate
from typing import Any, TypeAlias

from nasbench_evo.errors import unknown
from nasbench_evo.requests import Evaluation
from nasbench_evo.spaces.base import Genotype

RULES = ("seen", "mean")
# After which answer (from 0), the incumbent, and its accuracy by the rule (percent).
Change: TypeAlias = tuple[int, Genotype, float]


def check_rule(rule: str) -> str:
    """Return the name of a rule; raise InputError for any other."""
    if rule not in RULES:
        raise unknown("incumbent rule", rule, RULES)
    return rule


def changes(
    rule: str,
    genotypes: Sequence[Genotype],
    accuracies: Sequence[float],
    fractions: Sequence[float],
) -> Iterator[Change]:
    """Yield where the incumbent, or its accuracy, changed; the arguments are columns of a history.

    Among equals: more answers ("mean" only), then the first. Raises InputError for another rule.
    """
    columns = zip(genotypes, accuracies, fractions, strict=True)
    return _by_mean(columns) if check_rule(rule) == "mean" else _by_best(columns)


def _by_best(columns: Iterator[tuple[Genotype, float, float]]) -> Iterator[Change]:
    best_fraction, best_accuracy = 0.0, -math.inf
    for i, (genotype, accuracy, fraction) in enumerate(columns):
        if fraction >= best_fraction and (accuracy > best_accuracy or fraction > best_fraction):
            best_fraction, best_accuracy = fraction, accuracy
            yield i, genotype, accuracy


def _by_mean(columns: Iterator[tuple[Genotype, float, float]]) -> Iterator[Change]:
    """A heap has the ranks of all genotypes; those that are out of date go when they come up.

    Only the answers at the largest fraction so far count.
    """
    # A rank, lowest best: (-mean, -answers, position of the first answer).
    ranks: dict[Genotype, tuple[float, int, int]] = {}
    sums: dict[Genotype, float] = {}
    heap: list[tuple[tuple[float, int, int], Any]] = []
    incumbent: tuple[float, int, int] | None = None
    largest = 0.0
    for i, (genotype, accuracy, fraction) in enumerate(columns):
        if fraction < largest:
            continue
        if fraction > largest:  # what was trained less is out of the race
            largest = fraction
            ranks.clear()
            heap.clear()
        known = ranks.get(genotype)
        if known is None:
            sums[genotype] = accuracy
            rank = (-accuracy, -1, i)
        else:
            sums[genotype] += accuracy
            n = 1 - known[1]
            # Rounded, so that equal answers have an average equal to theirs.
            rank = (-round(sums[genotype] / n, 9), -n, known[2])
        ranks[genotype] = rank
        heappush(heap, (rank, genotype))  # ranks of two genotypes differ: these are not compared
        while ranks[heap[0][1]] is not heap[0][0]:
            heappop(heap)
        best, of = heap[0]
        if best is not incumbent:
            incumbent = best
            yield i, of, -best[0]


def incumbents(
    genotypes: Sequence[Genotype],
    accuracies: Sequence[float],
    fractions: Sequence[float],
    costs: Sequence[float],
    rule: str = "seen",
) -> list[tuple[float, Genotype]]:
    """Return the points where the incumbent changed: (full-training equivalents spent, genotype).

    The arguments are the columns of a history; with seconds as `costs` the points are seconds.
    """
    spent = list(accumulate(costs))
    points: list[tuple[float, Genotype]] = []
    for i, genotype, _ in changes(rule, genotypes, accuracies, fractions):
        if not points or points[-1][1] != genotype:
            points.append((round(spent[i], 9), genotype))
    return points


def incumbent_accuracies(
    history: Sequence[Evaluation], rule: str = "seen", *, seconds: bool = False
) -> list[tuple[float, Genotype, float]]:
    """Return (full-training equivalents spent, genotype, accuracy in percent) at each change.

    Another accuracy of the same incumbent is a change here. With `seconds` the first is the
    simulated time.
    """
    spent = list(accumulate(a.cost_seconds if seconds else a.cost for a in history))
    found = changes(
        rule,
        [answer.genotype for answer in history],
        [answer.valid_accuracy for answer in history],
        [answer.fraction for answer in history],
    )
    return [(round(spent[i], 9), genotype, accuracy) for i, genotype, accuracy in found]
