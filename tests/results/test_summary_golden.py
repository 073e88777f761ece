"""The summary of a small store whose figures were worked out by hand, and by a second program.

The table has eight settings whose regrets are written below, so mean, deviation, ranks and the
rest are sums that fit a margin. Intervals and p values are computed again here, in plain loops.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from nasbench_evo import execution
from nasbench_evo.files import canonical
from nasbench_evo.randomness import stream
from nasbench_evo.results import kinds, manifest
from nasbench_evo.results.runs import collect
from nasbench_evo.store import Record
from nasbench_evo.suite import Entry, Suite, units
from nasbench_evo.tables import imported

SPACE = """
name = "eight"
[[genes]]
name = "kind"
choices = ["a", "b", "c", "d"]
[[genes]]
name = "depth"
choices = [1, 2]
"""
# Of the settings a1, a2, b1, ... d2; the best of `one` has 90 %, of `two` 70 %.
REGRET = {"one": [0, 1, 2, 3, 4, 6, 8, 10], "two": [10, 8, 6, 4, 3, 2, 1, 0]}
BEST = {"one": 90, "two": 70}
# Test accuracies: 80 % less two for each step down the list above.
TEST = [80, 78, 76, 74, 72, 70, 68, 66]
# Regret of the incumbents of seeds 1..4 after 2 evaluations, and after 10.
RUNS = {
    ("random_search", "one"): ([8, 8, 10, 10], [4, 6, 8, 10]),
    ("local_search", "one"): ([6, 4, 2, 3], [0, 1, 2, 1]),
    ("regularized_evolution", "one"): ([10, 8, 10, 8], [1, 2, 0, 1]),
    ("genetic_cnn", "one"): ([3, 6, 4, 8], [2, 3, 4, 6]),
    ("random_search", "two"): ([3, 4, 6, 8], [0, 1, 2, 3]),
    ("local_search", "two"): ([10, 8, 10, 10], [4, 6, 8, 10]),
    ("regularized_evolution", "two"): ([3, 4, 6, 8], [0, 1, 2, 3]),
    ("genetic_cnn", "two"): ([4, 4, 4, 4], [1, 2, 3, 4]),
}
ENDED = {"one": [6, 8, 8, 10], "two": [4, 4, 6, 10]}  # what genetic_cnn itself ended with
SUITE = Suite(
    name="golden",
    table="eight",
    datasets=["one", "two"],
    seeds=4,
    first_seed=1,
    evaluations=10,
    checkpoints=[2, 10],
    rows=[
        Entry(algorithm=name)
        for name in ("random_search", "local_search", "regularized_evolution", "genetic_cnn")
    ],
)
# By hand, after 10 evaluations: mean regret, its standard deviation over runs (n - 1), median,
# interquartile mean (the middle two of four), rank, P(better than random search), mean test.
# Equal means share a rank, and the next rank is left out.
HAND = {
    ("random_search", "one"): (7.0, math.sqrt(20 / 3), 7.0, 7.0, 4, None, 69.0),
    ("local_search", "one"): (1.0, math.sqrt(2 / 3), 1.0, 1.0, 1, 1.0, 78.0),
    ("regularized_evolution", "one"): (1.0, math.sqrt(2 / 3), 1.0, 1.0, 1, 1.0, 78.0),
    # of 16 pairs 13 are won and 2 tied
    ("genetic_cnn", "one"): (3.75, math.sqrt(8.75 / 3), 3.5, 3.5, 3, 14 / 16, 73.0),
    ("random_search", "two"): (1.5, math.sqrt(5 / 3), 1.5, 1.5, 1, None, 69.0),
    ("local_search", "two"): (7.0, math.sqrt(20 / 3), 7.0, 7.0, 4, 0.0, 77.0),
    ("regularized_evolution", "two"): (1.5, math.sqrt(5 / 3), 1.5, 1.5, 1, 0.5, 69.0),
    # of 16 pairs 3 are won and 3 tied
    ("genetic_cnn", "two"): (2.5, math.sqrt(5 / 3), 2.5, 2.5, 3, 4.5 / 16, 71.0),
}


def setting(dataset: str, regret: int) -> tuple[int, int]:
    kind, depth = divmod(REGRET[dataset].index(regret), 2)
    return kind, depth


def record(key: str, seed: int, dataset: str, early: int, late: int, ended: int | None) -> Record:
    curve = [(1.0, setting(dataset, early)), (7.0, setting(dataset, late))]
    notes = {} if ended is None else {"returned": setting(dataset, ended)}
    return Record(
        key, seed, canonical(curve[-1][1]), 10.0, 1.0, "t", 0.1, canonical(curve), canonical(notes)
    )


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], Path]:
    folder = tmp_path_factory.mktemp("golden")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASBENCH_EVO_TABLES", str(folder / "tables"))
        yield make(folder), folder / "run"  # type: ignore[misc]


def make(folder: Path) -> list[dict[str, Any]]:
    lines = ["kind,depth,dataset,valid_0,valid_1,test_0"]
    for dataset, regrets in REGRET.items():
        for i, regret in enumerate(regrets):
            mean = BEST[dataset] - regret
            lines.append(
                f"{'abcd'[i // 2]},{1 + i % 2},{dataset},{mean - 0.5},{mean + 0.5},{TEST[i]}"
            )
    (folder / "space.toml").write_text(SPACE)
    (folder / "eight.csv").write_text("\n".join(lines))
    imported.import_path(
        folder / "eight.csv", "eight", progress=lambda d, t: None, space=folder / "space.toml"
    )
    with execution.opened(SUITE, folder / "run") as store:
        store.add_units({unit.key(): unit.describe() for unit in units(SUITE)})
        for unit in units(SUITE):
            name, dataset, key = unit.row.algorithm, unit.dataset, unit.key()
            early, late = RUNS[name, dataset]
            own = ENDED[dataset] if name == "genetic_cnn" else [None] * 4
            store.add(record(key, 1 + i, dataset, early[i], late[i], own[i]) for i in (2, 0, 3, 1))
            # Runs of seeds that the suite does not ask for: kept, and in no figure.
            for seed, regret in ((0, 10), (5, 0)):
                store.add([record(key, seed, dataset, regret, regret, 10 - regret)])
        collected = collect(SUITE, store)
    kind = kinds.of(SUITE)
    found = kind.find(SUITE, collected)
    manifest.write_summary(folder / "run", found.rows, kind.summary(found))
    content = json.loads((folder / "run" / "summary.json").read_text())
    rows: list[dict[str, Any]] = content["rows"]
    return rows


def mann_whitney(a: list[int], b: list[int]) -> float:
    """Two-sided: exact without ties, else normal, corrected for ties and continuity."""
    n, m, both = len(a), len(b), a + b
    u = sum((x > y) + 0.5 * (x == y) for x in a for y in b)
    if len(set(both)) == len(both):
        every = [
            sum(both[i] > both[j] for i in chosen for j in range(n + m) if j not in chosen)
            for chosen in itertools.combinations(range(n + m), n)
        ]
        tail = min(sum(v <= u for v in every), sum(v >= u for v in every)) / len(every)
        return min(1.0, 2 * tail)
    ties = sum(both.count(v) ** 3 - both.count(v) for v in set(both))
    deviation = math.sqrt(n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1))))
    z = max(abs(u - n * m / 2) - 0.5, 0) / deviation
    return min(1.0, 2 * NormalDist().cdf(-z))


def holm(p: dict[Any, float]) -> dict[Any, float]:
    adjusted, so_far = {}, 0.0
    for k, (key, value) in enumerate(sorted(p.items(), key=lambda item: item[1])):
        so_far = max(so_far, value * (len(p) - k))
        adjusted[key] = min(1.0, so_far)
    return adjusted


def interval(values: list[int]) -> tuple[float, float]:
    """The bias-corrected and accelerated interval of the mean of four runs, 2000 resamples."""
    if len(set(values)) == 1:
        return values[0], values[0]
    n, total = len(values), sum(values)
    draws = stream(0, "bootstrap of the summary").generator.integers(0, n, (2000, n)).tolist()
    sums = [sum(values[i] for i in draw) for draw in draws]
    below = sum((s < total) + (s <= total) for s in sums) / (2 * len(sums))
    left_out = [(total - value) / (n - 1) for value in values]
    pull = [sum(left_out) / n - value for value in left_out]
    a = sum(d**3 for d in pull) / (6 * sum(d**2 for d in pull) ** 1.5)
    normal = NormalDist()
    z0 = normal.inv_cdf(below)
    ends = []
    for level in (0.025, 0.975):
        z = z0 + normal.inv_cdf(level)
        ends.append(float(np.quantile(sums, normal.cdf(z0 + z / (1 - a * z)))) / n)
    return ends[0], ends[1]


def test_every_row_is_there_and_of_the_seeds_asked_for(summary: Any) -> None:
    rows, _ = summary
    keys = {(row["algorithm"], row["dataset"], row["evaluations"]) for row in rows}
    assert keys == {(*key, end) for key in RUNS for end in (2, 10)}
    assert len(rows) == 16
    assert {(row["n"], row["asked"], row["preset"]) for row in rows} == {(4, 4, "paper")}


def test_figures_are_those_worked_out_by_hand(summary: Any) -> None:
    rows, _ = summary
    for row in rows:
        if row["evaluations"] == 10:
            dataset = row["dataset"]
            mean, std, median, iqm, rank, better, test = HAND[row["algorithm"], dataset]
            assert row["mean_regret"] == pytest.approx(mean)
            assert row["mean_accuracy"] == pytest.approx(BEST[dataset] - mean)
            assert row["std_accuracy"] == pytest.approx(std)
            assert row["median_regret"] == pytest.approx(median)
            assert row["iqm_regret"] == pytest.approx(iqm)
            assert row["rank"] == rank
            assert row["p_better"] == (better if better is None else pytest.approx(better))
            assert row["mean_test"] == pytest.approx(test)
            ended = sum(ENDED[dataset]) / 4 if row["algorithm"] == "genetic_cnn" else None
            assert row["returned_regret"] == ended


def test_figures_of_the_first_checkpoint(summary: Any) -> None:
    rows, _ = summary
    means = {k: sum(early) / 4 for k, (early, _) in RUNS.items()}
    for row in rows:
        if row["evaluations"] == 2:
            of = {
                name: mean for (name, dataset), mean in means.items() if dataset == row["dataset"]
            }
            mean = of[row["algorithm"]]
            assert row["mean_regret"] == pytest.approx(mean)
            assert row["rank"] == 1 + sum(other < mean for other in of.values())
            # Comparisons and what is known of the end stand at the last checkpoint only.
            for name in ("p_better", "p_value", "returned_regret"):
                assert row[name] is None
            early, _ = RUNS[row["algorithm"], row["dataset"]]
            tests = [TEST[REGRET[row["dataset"]].index(regret)] for regret in early]
            assert row["mean_test"] == pytest.approx(sum(tests) / 4)


def test_intervals_are_those_of_a_second_program(summary: Any) -> None:
    rows, _ = summary
    for row in rows:
        early, late = RUNS[row["algorithm"], row["dataset"]]
        low, high = interval(early if row["evaluations"] == 2 else late)
        assert (row["regret_low"], row["regret_high"]) == pytest.approx((low, high), rel=1e-7)
        best = BEST[row["dataset"]]
        accuracy = (row["accuracy_low"], row["accuracy_high"])
        assert accuracy == pytest.approx((best - high, best - low), rel=1e-7)
    ten = [row for row in rows if (row["algorithm"], row["evaluations"]) == ("random_search", 10)]
    (one,) = (row for row in ten if row["dataset"] == "one")
    assert 4 < one["regret_low"] < 7 < one["regret_high"] < 10


def test_p_values_are_those_of_a_second_program(summary: Any) -> None:
    rows, _ = summary
    ends = {key: late for key, (_, late) in RUNS.items()}
    raw = {
        (name, dataset): mann_whitney(late, ends["random_search", dataset])
        for (name, dataset), late in ends.items()
        if name != "random_search"
    }
    assert len(raw) == 6  # Holm over the whole suite
    expected = holm(raw)
    for row in rows:
        if row["evaluations"] == 10:
            value = expected.get((row["algorithm"], row["dataset"]))
            assert row["p_value"] == (value if value is None else pytest.approx(value, rel=1e-7))


def test_the_best_and_what_is_tied_with_it(summary: Any) -> None:
    rows, _ = summary
    for dataset, end in itertools.product(("one", "two"), (2, 10)):
        table = [row for row in rows if (row["dataset"], row["evaluations"]) == (dataset, end)]
        assert [row["mean_regret"] for row in table] == sorted(row["mean_regret"] for row in table)
        runs = {row["algorithm"]: RUNS[row["algorithm"], dataset][end == 10] for row in table}
        first = table[0]["algorithm"]
        p = holm({k: mann_whitney(v, runs[first]) for k, v in runs.items() if k != first})
        expected = ["best", *("tied" if p[row["algorithm"]] >= 0.05 else "" for row in table[1:])]
        assert [row["best"] for row in table] == expected


def test_the_csv_says_the_same(summary: Any) -> None:
    rows, folder = summary
    with (folder / "summary.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert line == {key: "" if value is None else str(value) for key, value in row.items()}
