"""Suites whose candidates are trained, from the file to the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import loaded

from nasbench_evo import engines, execution
from nasbench_evo import suite as suites
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.results import kinds
from nasbench_evo.results.runs import collect
from nasbench_evo.store import Store

pytestmark = pytest.mark.torch

SUITE = """
name = "tiny"
evaluator = "standalone"
datasets = ["digits"]
seeds = 2
evaluations = 4
checkpoints = [2, 4]
[evaluator_set]
epochs = 1
channels = 4
cells = 1
train_size = 40
batch_size = 20
[[rows]]
algorithm = "random_search"
[[rows]]
algorithm = "eigen"
set = { population_size = 2, patience = 2 }
"""
TEACHER = "teacher_networks = 1\nteacher_depth = 10\nteacher_growth = 4\nteacher_epochs = 1\n"
BUNDLED = [
    "training_digits",
    "genetic_cnn",
    "genetic_cnn_starts",
    "genetic_cnn_wrn",
    "eigen_step",
    "eigen_training",
    "genetic_cnn_cifar10",
    "eigen_cifar10",
]


def load(tmp_path: Path, text: str = SUITE) -> suites.Suite:
    return loaded(tmp_path, text)


def run(
    suite: suites.Suite, folder: Path, engine: str = "serial", workers: int = 1
) -> execution.Report:
    with execution.opened(suite, folder) as store:
        work = execution.plan(suite, store)
        side_by_side = execution.shared_out(work, workers, suite.devices)
        return execution.execute(
            work, store, engine=engine, workers=side_by_side, progress=lambda n: None
        )


def traces(suite: suites.Suite, folder: Path) -> list[tuple[str, str, str]]:
    """What is stored of the runs but the seconds; of the final trainings, the accuracies."""
    with Store(folder) as store:
        records = [r for unit in suites.units(suite) for r in store.runs(unit.key())]
    finals = [
        str([(one["valid_accuracy"], one["test_accuracy"]) for one in notes["report"]])
        for notes in (json.loads(record.notes) for record in records)
    ]
    return [(r.trace_sha256, r.curve, final) for r, final in zip(records, finals, strict=True)]


def test_a_suite_runs_and_reports(tmp_path: Path) -> None:
    suite = load(tmp_path)
    report = run(suite, tmp_path / "out")
    assert (report.finished, report.failures) == (4, [])
    assert not list((tmp_path / "out").rglob("*.pt"))  # weights go, journals stay
    assert len(list((tmp_path / "out").rglob("journal.jsonl"))) == 4
    with Store(tmp_path / "out") as store:
        collected = collect(suite, store)
    kind = kinds.of(suite)
    found = kind.find(suite, collected)
    rows = {(row.algorithm, row.evaluations): row for row in found.rows}
    assert {key: row.n for key, row in rows.items()} == {
        ("random_search", 2): 2, ("eigen", 2): 2, ("random_search", 4): 2, ("eigen", 4): 2,
    }  # fmt: skip
    assert [row.rank for row in found.rows] == [1, 2, 1, 2]
    for unit in collected:
        row = rows[unit.unit.row.algorithm, 4]
        assert row.seen_mean == pytest.approx(sum(run.seen or 0 for run in unit.records) / 2)
        tested = [one["test_accuracy"] for run in unit.records for one in run.final]
        assert row.final_test == pytest.approx(sum(tested) / 2)
    assert rows["random_search", 2].final_test is None
    assert rows["eigen", 4].p_value is not None
    assert rows["random_search", 4].p_value is None
    content = kind.summary(found)
    assert content["notes"] == [
        "eigen: population_size=2, patience=2 throughout.",
        "eigen: extinction reads trainings that stopped at each landmark.",
    ]
    assert json.loads(json.dumps(content)) == content


def test_what_is_done_is_not_repeated_and_a_lost_record_is_replayed(tmp_path: Path) -> None:
    suite = load(tmp_path)
    run(suite, tmp_path / "out")
    before = traces(suite, tmp_path / "out")
    assert run(suite, tmp_path / "out").finished == 0
    for name in ("runs.sqlite", "runs.sqlite-wal", "runs.sqlite-shm"):
        (tmp_path / "out" / name).unlink(missing_ok=True)
    journals = {f: f.stat().st_size for f in (tmp_path / "out").rglob("journal.jsonl")}
    assert run(suite, tmp_path / "out").finished == 4
    assert traces(suite, tmp_path / "out") == before
    assert {f: f.stat().st_size for f in journals} == journals


@pytest.mark.slow
def test_engines_give_the_same_runs(tmp_path: Path) -> None:
    suite = load(tmp_path)
    run(suite, tmp_path / "a")
    run(suite, tmp_path / "b", "processes", 2)
    assert traces(suite, tmp_path / "a") == traces(suite, tmp_path / "b")


def test_fresh_discards_journals(tmp_path: Path) -> None:
    suite = load(tmp_path)
    run(suite.model_copy(update={"seeds": 1}), tmp_path / "out")
    with execution.opened(suite, tmp_path / "out", fresh=True):
        assert not list((tmp_path / "out").rglob("journal.jsonl"))


def test_units_depend_on_the_settings_and_not_on_workers(tmp_path: Path) -> None:
    def keys(text: str) -> list[str]:
        return [unit.key() for unit in suites.units(load(tmp_path, text))]

    base = keys(SUITE)
    assert keys(SUITE.replace("seeds = 2", "seeds = 3")) == base
    for old, new in (("epochs = 1", "epochs = 2"), ("channels = 4", "channels = 5")):
        assert not set(keys(SUITE.replace(old, new))) & set(base)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 1", "epocs = 1", "Did you mean 'epochs'"),
        ('"standalone"', '"standalon"', "evaluator"),
        ('"standalone"', '"lookup"', "need evaluator"),
        ('["digits"]', '["digit"]', "Did you mean 'digits'"),
        ("seeds = 2", 'seeds = 2\nspace = "nasbench"', "Did you mean 'nasbench201'"),
        (
            "seeds = 2",
            'seeds = 2\nspace = "layer_graph"',
            "cells is not one of the space layer_graph",
        ),
        ("cells = 1", 'recipe = "cifar"', "Unknown recipe"),
    ],
)
def test_mistakes_are_explained(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SUITE
    with pytest.raises(InputError, match=message):
        load(tmp_path, SUITE.replace(old, new, 1))


def test_an_algorithm_that_does_not_fit_the_space_is_refused(tmp_path: Path) -> None:
    text = SUITE.replace("channels = 4\ncells = 1\n", "").replace(
        "seeds = 2", 'seeds = 2\nspace = "binary_stages"'
    )
    load(tmp_path, text)
    with pytest.raises(Unsupported, match="Relaxable; binary_stages is not"):
        load(tmp_path, text + '[[rows]]\nalgorithm = "eg_nas"\n')


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_suites_that_train_load(name: str) -> None:
    suite = suites.load(suites.find(name))
    assert suite.evaluator == "standalone"
    if name == "training_digits":
        from nasbench_evo.algorithms import ALGORITHMS

        assert {row.algorithm for row in suites.rows(suite)} == set(ALGORITHMS) - {
            "darts",
            "random_search_ws",  # these need shared weights
            "successive_halving",
            "hyperband",  # these are compared on its table, in digits_halving
        }
    if suite.devices == ["cpu"]:
        assert execution.plan(suite, None).missing == len(suites.units(suite)) * suite.seeds


def test_only_the_report_reads_test_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search runs on a data set whose test part cannot be read."""
    from nasbench_evo.training.data.images import TensorPart
    from nasbench_evo.training.individuals import DataOptions

    class Guarded(TensorPart):
        def batches(self, indices):  # type: ignore[no-untyped-def]
            raise AssertionError("a search read test data")

        def runs(self, batch_size):  # type: ignore[no-untyped-def]
            raise AssertionError("a search read test data")

    import dataclasses

    loaded = DataOptions.load

    def load_guarded(self: DataOptions, device: str = "cpu") -> object:
        dataset = loaded(self, device)
        assert isinstance(dataset.test, TensorPart)
        guarded = Guarded(dataset.test.images, dataset.test.labels)
        return dataclasses.replace(dataset, test=guarded)

    monkeypatch.setattr(DataOptions, "load", load_guarded)
    suite = load(tmp_path, SUITE.replace("epochs = 1", "epochs = 1\nreport_trials = 0"))
    for unit in suites.units(suite):
        outcome = engines.execute(engines.Task(unit, "k", (0,)))
        assert outcome.failures == []
    reporting = load(tmp_path, SUITE.replace("train_size = 40", "train_size = 41"))
    outcome = engines.execute(engines.Task(suites.units(reporting)[0], "k", (0,)))
    assert "a search read test data" in outcome.failures[0][1]


def test_a_taught_run_reports_the_same_network_without_the_teacher_and_how_large_it_is(
    tmp_path: Path,
) -> None:
    text = SUITE.replace('name = "tiny"', 'name = "taught"\nspace = "layer_graph"')
    text = text.replace("seeds = 2", "seeds = 1").replace("channels = 4\ncells = 1\n", TEACHER)
    text = text.replace("patience = 2 }", "patience = 2, mimicry = true }")
    suite = load(tmp_path, text)
    run(suite, tmp_path / "out")
    with Store(tmp_path / "out") as store:
        collected = collect(suite, store)
    alone, taught = collected
    kind = kinds.of(suite)
    found = kind.find(suite, collected)
    known = [kind.known_of_runs(found, runs, "digits") for runs in (alone, taught)]
    assert known[0]["final_test_untaught"] == [None]
    (with_teacher,), (without,) = known[1]["final_test"], known[1]["final_test_untaught"]
    assert without is not None
    assert with_teacher is not None
    final = taught.records[0]
    losses = [final.final[0]["test_loss"], final.data["untaught"][0]["test_loss"]]
    assert losses[0] != losses[1]  # the same seed, another loss function
    size = final.data["network"]
    assert known[1]["parameters"] == [size["parameters"] / 1e6]
    assert size["parameters"] > 0
