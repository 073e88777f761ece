"""Fidelity: searches on proxies, EIGEN on real curves, simulated seconds of the benchmark."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import through

from nasbench_evo import execution, tables
from nasbench_evo import suite as suites
from nasbench_evo.algorithms import ALGORITHMS
from nasbench_evo.errors import InputError
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.requests import Evaluate
from nasbench_evo.results import kinds
from nasbench_evo.results.runs import collect
from nasbench_evo.runner import Budget, search
from nasbench_evo.spaces.nasbench201 import SIZE
from nasbench_evo.tables import imported
from nasbench_evo.tables.importing.collector import Collector, Trial

SERIES = (("x-valid", "accuracy"), ("x-test", "accuracy"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cells on one data set: 4 epochs (a proxy that ranks them backwards) and 8 epochs."""
    path = tmp_path_factory.mktemp("tables")
    gathered = Collector("made")
    for index in range(SIZE):
        quality = index / SIZE
        for epochs, end in ((4, 50 - 40 * quality), (8, 30 + 60 * quality)):
            curves = np.linspace(10, [end, end - 5], epochs).T
            trial = Trial(
                seed=0,
                series=SERIES,
                curves=curves.astype(np.float32),
                last=curves[:, -1],
                train_seconds=10.0 * epochs,
                seconds={"x-valid": 2.0},
                parameters=1.0,
                flops=1.0,
                latency=0.01,
            )
            gathered.add(index, epochs, "made", [trial])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASBENCH_EVO_TABLES", str(path))
        imported.save(gathered, "made", {"label": "made for tests"})
    return path


@pytest.fixture(autouse=True)
def own_tables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(folder))


def test_a_search_on_the_proxy_sees_the_proxy_and_is_judged_at_full_length() -> None:
    proxy, full = tables.load("made@4"), tables.reported("made@4")
    assert (proxy.epochs, full.epochs) == (4, 8)
    result = search(ALGORITHMS["random_search"].configure(), LookupEvaluator(proxy, "made"), seed=1)
    seen = {answer.genotype: answer.valid_accuracy for answer in result.history}
    for genotype, accuracy in seen.items():
        assert accuracy == pytest.approx(50 - 40 * proxy.space.index(genotype) / SIZE, abs=1e-5)
    lowest = min(map(proxy.space.index, seen))
    assert proxy.space.index(result.genotype) == lowest
    # The proxy's best is the real table's worst of what was seen.
    worst = max(full.regret("made", genotype) for genotype in seen)
    assert full.regret("made", result.genotype) == worst


def test_a_proxy_is_another_evaluator_than_the_full_table() -> None:
    a, b = (LookupEvaluator(tables.load(name), "made").identity() for name in ("made", "made@4"))
    assert a != b


def test_costs_are_training_times_fraction_and_validation() -> None:
    session = LookupEvaluator(tables.load("made"), "made").start(0)
    cell = (1, 2, 3, 4, 0, 1)
    costs = [answer.cost_seconds for (answer,) in through(session, [cell], (0.25, 0.5, 1))]
    assert costs == pytest.approx([20 + 2, 20 + 2, 40 + 2])
    assert session.answer(Evaluate([cell]))[0].cost_seconds == 82


def test_a_budget_in_simulated_seconds() -> None:
    """12,000 seconds at 82 a training are 146 trainings; at 42 on the proxy 285."""
    for name, number in (("made", 146), ("made@4", 285)):
        result = search(
            ALGORITHMS["regularized_evolution"].configure(),
            LookupEvaluator(tables.load(name), "made"),
            budget=Budget(None, 12_000),
        )
        assert len(result.history) == number
        assert result.simulated_seconds == pytest.approx(number * (82 if name == "made" else 42))


def test_extinction_reads_the_curves() -> None:
    evaluator = LookupEvaluator(tables.load("made"), "made")
    result = search(ALGORITHMS["eigen"].configure(), evaluator, seed=3)
    assert result.notes["landmark_source"] == "curve"
    table = evaluator.table
    assert table.valid_curve is not None
    early = [answer for answer in result.history if answer.fraction < 1]
    assert early
    for answer in early:
        epoch = max(1, round(answer.fraction * 8))
        curve = table.valid_curve[0, table.space.index(answer.genotype), 0]
        assert answer.valid_accuracy == float(curve[epoch - 1])


def test_without_curves_of_this_set_the_record_says_so() -> None:
    """One data set with curves beside one without: each is answered from what it has."""
    one = tables.load("made")
    assert one.valid_curve is not None
    none = np.full_like(one.valid_curve, np.nan)
    two = replace(
        one,
        datasets=("made", "bare"),
        images=one.images * 2,
        valid_split=one.valid_split * 2 if one.valid_split else None,
        test_split=one.test_split * 2 if one.test_split else None,
        **{
            name: np.concatenate([getattr(one, name)] * 2)
            for name in (
                "correct",
                "train_seconds",
                "latency_seconds",
                "parameters",
                "test_accuracy",
                "valid_seconds",
                "flops",
            )
        },
        valid_curve=np.concatenate([one.valid_curve, none]),
    )
    for dataset, source in (("made", "curve"), ("bare", "trial")):
        session = LookupEvaluator(two, dataset).start(0)
        session.answer(Evaluate([(0,) * 6], fraction=0.5))
        assert session.notes["landmark_source"] == source


def test_the_report_names_splits_and_epochs() -> None:
    table = tables.reported("made@4")
    assert table.protocol("made") == (
        "validation: x-valid of made after 8 epochs; test: x-test of made"
    )
    assert table.mean_test("made", (4,) * 6) == pytest.approx(85 - 60 / SIZE, abs=1e-9)


def test_a_suite_on_a_proxy(tmp_path: Path) -> None:
    file = tmp_path / "proxy.toml"
    text = (
        'name = "proxy"\ntable = "made@4"\ndatasets = ["made"]\nseeds = 2\nevaluations = 10\n'
        'checkpoints = [10]\n[[rows]]\nalgorithm = "random_search"\n'
    )
    file.write_text(text)
    suite = suites.load(file)
    (unit,) = suites.units(suite)
    assert unit.describe()["evaluator"]["table"] == "made@4"
    with execution.opened(suite, tmp_path / "out") as store:
        work = execution.plan(suite, store)
        execution.execute(work, store, engine="serial", workers=1, progress=lambda runs: None)
        collected = collect(suite, store)
    (row,) = kinds.of(suite).find(suite, collected).rows
    full = tables.load("made")
    expected = [full.regret("made", run.genotype) for run in collected[0].records]
    assert row.mean_regret == pytest.approx(np.mean(expected))
    assert row.mean_regret > 10  # the proxy ranks backwards: only the full table shows it


def test_a_budget_in_seconds_needs_times(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"#1": 5.0}))
    imported.import_path(tmp_path / "x.json", "plain", progress=lambda a, b: None, replace=True)
    file = tmp_path / "s.toml"
    file.write_text(
        'name = "s"\ntable = "plain"\ndatasets = ["own"]\nseeds = 1\nevaluations = 5\n'
        'simulated_seconds = 100.0\ncheckpoints = [5]\n[[rows]]\nalgorithm = "random_search"\n'
    )
    with pytest.raises(InputError, match="no training times of own"):
        suites.load(file)
