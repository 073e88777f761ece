"""The layers of the gate on small samples made by hand, and on real runs with a real bug."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar

import numpy as np
import pytest
from gate_mutants import MUTANTS, NONE, InvertedTournament
from scipy.stats import mannwhitneyu

from nasbench_evo import suite as suites
from nasbench_evo.algorithms.random_search import RandomSearch
from nasbench_evo.analysis import statistics
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.files import canonical
from nasbench_evo.gate import (
    baseline as gate_baseline,
)
from nasbench_evo.gate import (
    cells,
    judgement,
    layers,
)
from nasbench_evo.gate import (
    measured as gate_runs,
)
from nasbench_evo.gate import (
    traces as gate_traces,
)
from nasbench_evo.gate.cells import is_twin
from nasbench_evo.gate.measured import Sample, Scale, Trace
from nasbench_evo.results.runs import Run, decode
from nasbench_evo.runner import Budget
from nasbench_evo.store import Record
from nasbench_evo.tables import Table

RE, RS = "regularized_evolution (paper)", "random_search (paper)"
SUITE = suites.Suite.model_validate(
    {
        "name": "small",
        "datasets": ["cifar10"],
        "seeds": 20,
        "evaluations": 300,
        "checkpoints": [300],
        "rows": [
            {"algorithm": "random_search"},
            {"algorithm": "regularized_evolution"},
            {"algorithm": "genetic_nas", "preset": "nb201"},
        ],
    }
)
UNITS = cells.units(SUITE)


def measured(units: list[suites.Unit]) -> dict[gate_runs.Key, gate_runs.Measured]:
    return gate_runs.measure(units, range(20), engine="serial")


@pytest.fixture(scope="module")
def runs() -> dict[gate_runs.Key, gate_runs.Measured]:
    return measured(UNITS)


@pytest.fixture(scope="module")
def baseline(runs: dict[gate_runs.Key, gate_runs.Measured]) -> gate_baseline.Baseline:
    return gate_baseline.of(runs, {"seeds": 20})


def test_regret_counts_are_the_table_regret(table: Table) -> None:
    for dataset in table.datasets:
        scale = gate_runs.scale(table, dataset)
        d = table.row(dataset)
        np.testing.assert_allclose(
            scale.counts * scale.unit, table.best[d] - table.mean_accuracy[d], atol=1e-11
        )
        assert scale.counts.min() == 0


def run(curve: list[tuple[float, tuple[int, ...]]], notes: str = "{}") -> Run:
    end = canonical(curve[-1][1])
    return decode(Record("unit", 0, end, 300.0, 1.6, "", 0.0, canonical(curve), notes))


def test_the_area_is_the_sum_of_regret_over_evaluations(table: Table) -> None:
    a, b, c = (0, 0, 0, 0, 0, 0), (3, 3, 3, 3, 3, 3), (1, 3, 3, 1, 3, 2)
    scale = gate_runs.scale(table, "cifar10")
    ra, rb, rc = (int(scale.counts[table.space.index(g)]) for g in (a, b, c))
    # What is spent at 10.2 counts from evaluation 11 on, where c follows: b never is incumbent.
    sample = gate_runs.sample([run([(1.4, a), (10.2, b), (11.0, c)])], UNITS[0], scale)
    assert sample.area.tolist() == [10 * ra + 290 * rc]
    assert sample.final.tolist() == [table.space.index(c)]
    assert (sample.seconds.tolist(), sample.changes.tolist()) == ([2], [3])
    assert len(sample.returned) == 0
    own = gate_runs.sample([run([(1, a)], '{"returned": [3,3,3,3,3,3]}')], UNITS[0], scale)
    assert own.returned.tolist() == [table.space.index(b)]
    stopped = gate_runs.sample([run([(1, a), (5, b), (11, c)])], UNITS[0], scale, until=10)
    assert stopped.final.tolist() == [table.space.index(b)]
    assert stopped.area.tolist() == [4 * ra + 296 * rb]


def samples(*values: list[int]) -> list[Sample]:
    return [Sample(np.array(v), np.array(v)) for v in values]


def test_p_values_are_two_sided_with_holm_over_all_measures_of_all_pairs() -> None:
    low, high = list(range(10)), list(range(7, 17))
    before, after = samples(low, high)
    scale = Scale(np.arange(20), 0.01)
    p = mannwhitneyu(high, low).pvalue
    changed, equal = layers.compare([(before, after), (before, before)], [scale] * 2)
    one = dict.fromkeys(gate_runs.MEASURES, 1.0)
    assert changed == {**one, "final": pytest.approx(4 * p), "area": pytest.approx(4 * p)}
    assert equal == one
    better = layers.compare([(after, before)], [scale])[0]
    assert better["final"] == pytest.approx(2 * p)
    assert layers.worsened((before, after), scale) == {"final": True, "area": True}
    assert layers.worsened((after, before), scale) == {"final": False, "area": False}


@pytest.mark.parametrize(
    ("changed", "rescored", "p", "worse", "upper", "expected"),
    [
        (0, 0, {}, "", 0.0, "equal"),
        (9, 0, {"final": 0.004}, "final", 0.0, "inferior"),
        (9, 0, {"area": 0.004}, "area", 0.0, "inferior"),
        (9, 0, {"area": 0.004, "final": 0.004}, "final", 0.0, "inferior"),
        (9, 0, {"area": 0.004, "final": 0.006}, "final", 0.0, "better"),
        (9, 0, {"returned": 0.004}, "", 0.0, "better"),
        (9, 0, {"seconds": 0.004}, "final", 0.0, "different"),
        (9, 0, {"changes": 0.004}, "", 0.0, "different"),
        (9, 1, {"final": 0.004}, "final", 0.0, "rescored"),
        (9, 0, {"final": 0.006}, "final", 0.09, "non-inferior"),
        (9, 0, {"final": 0.006}, "final", 0.1, "not shown"),
    ],
)
def test_verdicts(
    changed: int, rescored: int, p: dict[str, float], worse: str, upper: float, expected: str
) -> None:
    every = {**dict.fromkeys(gate_runs.MEASURES, 1.0), **p}
    worsened = {measure: measure == worse for measure in gate_runs.QUALITY}
    assert layers.verdict(changed, rescored, every, worsened, upper, 0.1) == expected


def test_the_upper_bound_is_one_sided_and_above_the_difference() -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(size=400)
    after = before + 0.3 + 0.1 * rng.normal(size=400)
    bound = layers.upper_bound(after, before)
    difference = statistics.iqm(after) - statistics.iqm(before)
    assert difference < bound < difference + 0.05
    assert layers.upper_bound(before, before) == 0.0
    assert layers.upper_bound(before + 0.5, before) == pytest.approx(0.5)


def test_unchanged_code_passes_every_layer(
    runs: dict[gate_runs.Key, gate_runs.Measured], baseline: gate_baseline.Baseline
) -> None:
    outcome = judgement.judge(baseline, runs, suite="small")
    assert outcome.passed
    assert outcome.verdict.startswith("PASS (small, 20 seeds): 240 of 240 runs equal")
    assert {cell.verdict for cell in outcome.cells} == {"equal"}
    assert len(outcome.cells) == 12  # three rows, on the data set and three twins of it
    # The reference, one preset, seeds, three known answers, two initial populations.
    assert len(outcome.orders) == 8
    content = json.loads(json.dumps(outcome.to_json()))
    assert content["layers"]["B distribution"]["passed"]


def test_a_search_that_got_worse_fails_a_and_b(
    runs: dict[gate_runs.Key, gate_runs.Measured], baseline: gate_baseline.Baseline
) -> None:
    broken = runs | measured(MUTANTS["tournament_inverted"].units(UNITS))
    outcome = judgement.judge(baseline, broken, suite="small")
    cell = next(c for c in outcome.cells if c.label == RE)
    assert cell.verdict == "inferior"
    assert cell.changed == 20
    assert cell.iqm_after > cell.iqm_before
    assert {c.verdict for c in outcome.cells if c.label != RE} == {"equal"}
    trace = next(t for t in outcome.traces if t.label == RE)
    assert (trace.equal, trace.of) == (0, 20)
    assert trace.difference is not None
    assert "evaluation 1" in trace.difference  # the first population is the same
    assert [passed for passed, _ in outcome.layers.values()] == [False, False, False, True]
    allowed = judgement.judge(baseline, broken, suite="small", allow_changed_traces=True)
    assert [passed for passed, _ in allowed.layers.values()] == [True, False, False, True]


def test_a_bug_that_only_later_seeds_have_is_a_change(
    runs: dict[gate_runs.Key, gate_runs.Measured], baseline: gate_baseline.Baseline
) -> None:
    key = RS, "cifar10"
    hashes = (*runs[key].hashes[:19], "0" * 64)
    broken = runs | {key: dataclasses.replace(runs[key], hashes=hashes)}
    (check,) = (t for t in gate_traces.check(baseline, broken) if (t.label, t.dataset) == key)
    assert (check.equal, check.difference) == (19, "seed 19 of 20: another trace")
    assert not judgement.judge(baseline, broken, suite="small").layers["A traces"][0]


def test_other_figures_of_the_same_traces_fail_even_where_changes_are_allowed(
    runs: dict[gate_runs.Key, gate_runs.Measured], baseline: gate_baseline.Baseline
) -> None:
    key = RS, "cifar10"
    sample = runs[key].sample
    changes = sample.changes.copy()
    changes[7] += 1
    moved = dataclasses.replace(runs[key], sample=dataclasses.replace(sample, changes=changes))
    for allowed in (False, True):
        outcome = judgement.judge(
            baseline, runs | {key: moved}, suite="small", allow_changed_traces=allowed
        )
        (cell,) = (c for c in outcome.cells if c.verdict != "equal")
        assert (cell.verdict, cell.changed, cell.rescored) == ("rescored", 1, 1)
        assert not outcome.layers["B distribution"][0]


def test_a_better_search_is_another_search(
    runs: dict[gate_runs.Key, gate_runs.Measured], baseline: gate_baseline.Baseline
) -> None:
    """Random search with the runs of regularized evolution."""
    key = RS, "cifar10"
    evolved = runs[RE, "cifar10"]
    better = dataclasses.replace(runs[key], sample=evolved.sample, hashes=evolved.hashes)
    cells = layers.distribution(baseline, {**runs, key: better}, {key: better.sample})
    assert [cell.verdict for cell in cells] == ["better"]


def test_a_changed_cell_fails_unless_changes_are_allowed(
    runs: dict[gate_runs.Key, gate_runs.Measured], baseline: gate_baseline.Baseline
) -> None:
    other = gate_runs.measure(UNITS[:1], range(1000, 1020), engine="serial")
    outcome = judgement.judge(baseline, runs | other, suite="small")
    assert {c.verdict for c in outcome.cells} == {"equal", "not shown"}
    passed, text = outcome.layers["B distribution"]
    assert not passed
    assert "0 of 12 cells another search, 1 changed" in text


def test_two_seeds_with_one_trace_are_found_without_a_baseline(
    runs: dict[gate_runs.Key, gate_runs.Measured],
) -> None:
    assert layers.repeated(runs).passed
    key = RS, "cifar10"
    hashes = (*runs[key].hashes[:18], *runs[key].hashes[:2])
    broken = layers.repeated(runs | {key: dataclasses.replace(runs[key], hashes=hashes)})
    assert (broken.passed, broken.value) == (False, 2.0)
    assert broken.figures == {f"{RS} on cifar10": 2.0}


def test_what_is_known_of_random_search_is_exact() -> None:
    """Two draws among four cells: the best is the i-th with chance 7, 5, 3, 1 in 16."""
    unit = next(u for u in UNITS if is_twin(u) and u.row.label == RS)
    unit = dataclasses.replace(unit, budget=Budget(2))
    scale = Scale(np.array([0, 10, 20, 30]), 0.1)
    mean = (5 * 10 + 3 * 20 + 1 * 30) / 16

    def p(*final: int) -> float:
        sample = Sample(np.array(final), np.array(final))
        return layers._as_drawn(scale, gate_runs.Measured(unit, sample, None, (), ()))

    variance = (7 * mean**2 + 5 * (10 - mean) ** 2 + 3 * (20 - mean) ** 2 + (30 - mean) ** 2) / 16
    z = abs(5 - mean) / (variance / 4) ** 0.5
    assert p(0, 1, 0, 1) == pytest.approx(2 * NormalDist().cdf(-z))
    assert p(*[0] * 50) < layers.EXACT
    assert p(*[3] * 50) < layers.EXACT


def test_a_known_best_that_is_not_found_is_said(
    runs: dict[gate_runs.Key, gate_runs.Measured],
) -> None:
    orders = layers.known_answers(runs)
    assert [o.passed for o in orders] == [True] * 3
    key = next(k for k, m in runs.items() if "additive" in k[1] and k[0] == RE)
    lost = Sample(*[np.zeros(20, dtype=np.int64)] * 2)
    broken = runs | {key: dataclasses.replace(runs[key], sample=lost)}
    assert [o.passed for o in layers.known_answers(broken)].count(False) == 1


def test_an_intended_change_passes_with_changed_traces_allowed(
    runs: dict[gate_runs.Key, gate_runs.Measured], baseline: gate_baseline.Baseline
) -> None:
    other = gate_runs.measure(UNITS[:1], range(1000, 1020), engine="serial")
    outcome = judgement.judge(baseline, runs | other, suite="small", allow_changed_traces=True)
    assert outcome.passed
    (cell,) = (c for c in outcome.cells if c.changed)
    assert cell.verdict == "not shown"  # 20 seeds are too few for the margin
    strict = judgement.judge(
        baseline, runs | other, suite="small", allow_changed_traces=True, strict=True
    )
    assert not strict.passed


def test_a_rewritten_loop_without_a_bug_is_the_same_search(
    runs: dict[gate_runs.Key, gate_runs.Measured],
) -> None:
    again = measured(NONE.units(UNITS))
    assert {key: m.hashes for key, m in again.items()} == {key: runs[key].hashes for key in again}


@dataclass(frozen=True)
class Unseeded(RandomSearch):
    """Draws from the operating system: another run every time."""

    presets: ClassVar = {"paper": {}}  # the row keeps its label

    def search(self, space, rng) -> Iterator:
        rng.generator.bit_generator.advance(int.from_bytes(os.urandom(4)))
        return super().search(space, rng)


def test_randomness_from_elsewhere_is_a_change(
    runs: dict[gate_runs.Key, gate_runs.Measured], baseline: gate_baseline.Baseline
) -> None:
    row = dataclasses.replace(UNITS[0].row, configured=Unseeded())
    broken = runs | measured([dataclasses.replace(UNITS[0], row=row)])
    check, *_ = (t for t in gate_traces.check(baseline, broken) if t.label == RS)
    assert check.difference == (
        "seed 0: another trace in another process: randomness from outside its stream"
    )


def test_changed_hyperparameters_are_named(
    runs: dict[gate_runs.Key, gate_runs.Measured], baseline: gate_baseline.Baseline
) -> None:
    configured = InvertedTournament(population_size=12)
    row = dataclasses.replace(UNITS[1].row, configured=configured)
    broken = runs | measured([dataclasses.replace(UNITS[1], row=row)])
    check, *_ = (t for t in gate_traces.check(baseline, broken) if t.label == RE)
    assert str(check.difference).endswith("(hyper-parameters: population_size 10 -> 12)")


@pytest.mark.parametrize(
    ("first", "prefixes", "expected"),
    [
        ((1, 9), ("a", "b"), "evaluation 2 is 9 instead of 2"),
        ((1, 2), ("a", "c"), "the first other genotype is among evaluations 51-100"),
        ((1, 2), ("x", "b"), "the first other genotype is among evaluations 3-50"),
        ((1, 2), ("a", "b", "c"), "another number of evaluations"),
        ((1, 2), ("a", "b"), "the same genotypes with other accuracies or fractions"),
    ],
)
def test_the_departure_is_located(
    first: tuple[int, ...], prefixes: tuple[str, ...], expected: str
) -> None:
    old = Trace(0, "old", (1, 2), ("a", "b"))
    assert gate_traces.departure(old, Trace(0, "new", first, prefixes), str) == expected


def test_a_baseline_without_a_gap_or_a_reference_can_judge_nothing(
    baseline: gate_baseline.Baseline, runs: dict[gate_runs.Key, gate_runs.Measured]
) -> None:
    scales = layers.scales(runs)
    entries = dict(baseline.entries)
    swapped = entries | {
        (RS, "cifar10"): entries[RE, "cifar10"],
        (RE, "cifar10"): entries[RS, "cifar10"],
    }
    with pytest.raises(InputError, match="does not beat"):
        layers.margins(gate_baseline.Baseline({}, swapped), scales)
    del entries[RE, "cifar10"]
    with pytest.raises(InputError, match="needs the rows"):
        layers.margins(gate_baseline.Baseline({}, entries), scales)


def test_the_margin_is_a_tenth_of_the_gap(
    baseline: gate_baseline.Baseline, runs: dict[gate_runs.Key, gate_runs.Measured]
) -> None:
    margin = layers.margins(baseline, layers.scales(runs))["cifar10"]
    found = judgement.judge(baseline, runs, suite="small").cells
    cells = {c.label: c for c in found if c.dataset == "cifar10"}
    assert margin == pytest.approx(0.1 * (cells[RS].iqm_before - cells[RE].iqm_before))


def test_a_suite_that_trains_is_not_for_the_gate() -> None:
    with pytest.raises(Unsupported, match="small reads none"):
        judgement.prepared(SUITE.model_copy(update={"evaluator": "standalone"}), 20)


def test_too_few_seeds_and_unknown_algorithms_are_refused() -> None:
    with pytest.raises(InputError, match="needs 20 seeds"):
        judgement.prepared(SUITE, 19)
    with pytest.raises(InputError, match="Did you mean"):
        judgement.prepared(SUITE, 20, ["eigenn"])
    own = judgement.prepared(SUITE, 20, ["local_search"])
    assert [row.label for row in suites.rows(own)] == [RS, RE, "local_search (paper)"]
