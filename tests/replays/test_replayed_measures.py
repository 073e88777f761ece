"""What repeating runs shows of an algorithm's parts: drop-outs, distances, jumps of the fitness."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report.stored_suite import run
from support import loaded

from nasbench_evo import tables
from nasbench_evo.errors import Unsupported
from nasbench_evo.figures import build
from nasbench_evo.replays import generations
from nasbench_evo.requests import Evaluate
from nasbench_evo.results import measures
from nasbench_evo.results.ablation import factors
from nasbench_evo.results.ablation_text import measured_section
from nasbench_evo.results.folder import read
from nasbench_evo.results.labels import row_labels
from nasbench_evo.results.landmarks import landmarks
from nasbench_evo.runner import search
from nasbench_evo.suite import units

DIGITS = """
name = "landmarks"
table = "digits"
datasets = ["digits"]
seeds = 3
evaluations = 30
[[rows]]
algorithm = "random_search"
[[rows]]
algorithm = "eigen"
set = { primary_step = 1 }
[rows.grid]
extinction = [true, false]
"""
TERMS = """
name = "terms"
datasets = ["cifar10"]
seeds = 2
evaluations = 260
[[rows]]
algorithm = "eg_nas"
set = { warmup = 0 }
[rows.grid]
eta = [0.4, 0.0]
zeta = [1.0, 0.0]
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landmarks")
    return run(loaded(folder, DIGITS), folder / "landmarks")


def test_eigen_counts_drop_outs_and_how_far_children_are(digits: Path) -> None:
    stored = read(digits)
    with_, without = (runs for runs in stored.collected if runs.unit.row.algorithm == "eigen")
    found = generations.replay(with_.unit, 0, with_.records[0].trace_sha256).measures
    steps = generations.exchanges(with_.unit, 0)
    counts = {0.2: 0, 0.8: 0, 1.0: 0}
    for request, _ in steps[1:]:
        assert isinstance(request, Evaluate)
        counts[request.fraction] += len(request.genotypes)
    begun = sum(1 for request, _ in steps if getattr(request, "fraction", 0) == 0.2)
    assert found["dropped_first"] == pytest.approx((counts[0.2] - counts[0.8]) / begun)
    assert found["dropped"] == pytest.approx((counts[0.2] - counts[1.0]) / begun)
    assert 0 < found["distance"] <= 1  # one mutation
    assert "dropped" not in generations.replay(without.unit, 0).measures


def test_retrainings_at_the_end_are_no_survivors(tmp_path: Path) -> None:
    text = DIGITS.replace("primary_step = 1", "primary_step = 1, retrainings = 8").replace(
        "evaluations = 30", "evaluations = 60"
    )
    (unit,) = (u for u in units(loaded(tmp_path, text)) if "extinction=True" in u.row.label)
    result = search(unit.row.configured, unit.evaluator(), seed=0, budget=unit.budget)
    steps = [request for request, _ in generations.exchanges(unit, 0, result.trace_sha256)[1:]]
    assert any(request.whole for request in steps)
    ended = sum(len(r.genotypes) for r in steps if r.fraction == 1.0 and not r.whole)
    begun = [len(r.genotypes) for r in steps if r.fraction == 0.2]
    found = generations.replay(unit, 0).measures
    assert found["dropped"] == pytest.approx((sum(begun) - ended) / len(begun))


def test_a_level_without_runs_has_no_line(digits: Path) -> None:
    stored = read(digits)
    (factor,) = factors(stored.suite)
    labels = {row.label: text for row, text in row_labels(stored.collected).items()}
    gone = labels.pop(factor.levels[1].row)
    known = [replace(one, measures={"dropped": [1.0, 2.0, 3.0]}) for one in stored.measures]
    section = measured_section(factor, [one for one in known if one.row != gone], labels)
    assert section is not None
    assert [line[1] for line in section.table[1:]] == [factor.levels[0].text]


def test_figures_leave_them_beside_the_runs_and_say_them(digits: Path) -> None:
    made = build.make(digits, ["png"], build.Page())
    assert digits / "landmarks.png" in made
    known = {one.row: one for one in measures.read(digits)}
    assert len(known["eigen (paper, extinction=True)"].by_seed("dropped")) == 3
    text = (digits / "ablation.md").read_text()
    assert "What single runs of eigen" in text
    assert "drop-outs a generation (individuals)" in text


def test_eg_nas_says_jump_and_spread(tmp_path: Path) -> None:
    both, only_l1, only_l2, neither = (
        generations.replay(
            next(u for u in units(loaded(tmp_path, TERMS)) if u.row.label == label), 0
        )
        for label in (
            f"eg_nas (paper, warmup=0, eta={eta}, zeta={zeta})"
            for eta, zeta in ((0.4, 1.0), (0.0, 1.0), (0.4, 0.0), (0.0, 0.0))
        )
    )
    assert 0 < both.measures["jump"] <= 0.8  # 2 eta, and L2 is at most 1
    assert both.measures["spread"] > 0
    assert only_l1.measures["jump"] == neither.measures["jump"] == 0
    assert only_l2.measures["spread"] == neither.measures["spread"] == 0
    # The sign of L2 makes worse individuals fitter: alone it always takes one of them.
    assert only_l2.measures["worse"] > only_l1.measures["worse"]


def test_landmarks_rank_better_the_later_they_are() -> None:
    found = landmarks(tables.load("digits"), "digits")
    assert found.fractions.tolist() == pytest.approx(np.arange(1, 10) / 10)
    assert found.every[-1] > found.every[0]
    assert np.all(found.best < found.every)  # good trainings are hard to tell apart
    with pytest.raises(Unsupported, match="no learning curves"):
        landmarks(tables.load(), "cifar10")
