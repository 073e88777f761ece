"""Every injected bug is caught and unchanged code is not: on fresh runs, and in the tables kept."""

from __future__ import annotations

import csv
from pathlib import Path

import gate_study
import numpy as np
import pytest
from gate_mutants import MUTANTS

from nasbench_evo.execution import default_workers
from nasbench_evo.gate import layers

KEPT = Path(__file__).parents[2] / "results" / "gate_power"
RULE = f"B at level {layers.ALPHA}"
# What changes how good the search is; the others change its path only, which is for layer A.
HARMFUL = {
    *("tournament_inverted", "tournament_of_one", "last_edge_fixed", "two_mutations"),
    *("half_the_edges", "block_lost", "rank_reversed", "extinction_inverted", "one_cma_seed"),
}


def kept(name: str) -> list[dict[str, str]]:
    with (KEPT / name).open() as file:
        return list(csv.DictReader(file))


def test_the_kept_table_has_every_bug_at_two_sizes_and_all_are_caught() -> None:
    rows = kept("detection.csv")
    sizes = {row["n"] for row in rows}
    assert len(sizes) == len(gate_study.SIZES)
    assert {(row["mutant"], row["n"]) for row in rows} == {(m, n) for m in MUTANTS for n in sizes}
    assert all(int(row["repetitions"]) >= 100 for row in rows)
    assert {row["mutant"] for row in rows if float(row["A or B"]) < 1} == set()


def test_the_kept_false_alarm_rate_is_at_most_one_percent_interval_and_all() -> None:
    rows = [row for row in kept("false_alarms.csv") if row["rule"] == RULE]
    sizes = {row["n"] for row in kept("detection.csv")}
    of_pool = {("other runs of the pool", n) for n in sizes}
    of_baseline = ("the committed baseline", max(sizes, key=int))
    assert sorted((r["against"], r["n"]) for r in rows) == sorted([*of_pool, of_baseline])
    assert all(int(row["repetitions"]) >= 100 for row in rows)
    assert all(float(row["high"]) <= 0.01 for row in rows)


@pytest.mark.slow
def test_bugs_are_caught_and_unchanged_code_is_not() -> None:
    rng = np.random.default_rng(1)
    sound, mutants = gate_study.pools(seeds=100, mutant_seeds=50, workers=default_workers())
    before = {key: gate_study.picked(m, np.arange(50)) for key, m in sound.items()}
    after = {key: gate_study.picked(m, np.arange(50, 100)) for key, m in sound.items()}
    regrets = layers.scales(sound)
    pairs = [(before[key].sample, m.sample) for key, m in after.items()]
    found = layers.compare(pairs, [regrets[dataset] for _, dataset in after])
    assert gate_study.smallest_p(before, after, regrets) == pytest.approx(
        min(min(p.values()) for p in found)
    )  # the study's short cut is the gate's own figure
    detected = list(gate_study.detection(sound, mutants, (50,), 1, rng))
    assert {row["mutant"]: row["A or B"] for row in detected} == dict.fromkeys(MUTANTS, 1.0)
    found_by_b = {row["mutant"] for row in detected if row["B"] >= 0.8}
    assert found_by_b >= HARMFUL
    alarms = list(gate_study.false_alarms(sound, None, (50,), 20, 1, rng))
    for row in alarms:
        if row["rule"] in (RULE, "C"):
            assert row["rate"] <= 0.02, row
