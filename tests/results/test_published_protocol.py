"""The benchmark's own protocol: short trainings, seconds, one data set searched, three reported."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nasbench_evo import runner, suite, tables
from nasbench_evo.algorithms.random_search import RandomSearch
from nasbench_evo.cli import app
from nasbench_evo.errors import DataError, InputError
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.results import rank_files
from nasbench_evo.spaces import NASBench201
from nasbench_evo.store import Store
from nasbench_evo.tables import imported, verify
from nasbench_evo.tables.importing.collector import Collector
from nasbench_evo.tables.importing.trainings import Series, Trainings

SIZE = NASBench201().size
DATASETS = ["cifar10", "cifar100", "ImageNet16-120"]
SECONDS = 99.0  # of a training of 12 epochs; one second more validates it
SUITE = """
name = "tiny_protocol"
table = "official@12"
datasets = ["cifar10"]
report_on = ["cifar10", "cifar100", "ImageNet16-120"]
seeds = 3
simulated_seconds = 1250
checkpoints = [500, 1000]
[[rows]]
algorithm = "random_search"
[[rows]]
algorithm = "regularized_evolution"
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "tables"))


def block(**splits: np.ndarray) -> Trainings:
    """One trial of every cell: percent by split, a second for a pass, 99 for the training."""
    last: dict[Series, np.ndarray] = {
        (s.replace("_", "-"), "accuracy"): v[:, None] for s, v in splits.items()
    }
    ones = np.ones((SIZE, 1))
    return Trainings(
        np.arange(SIZE), np.zeros((SIZE, 1), np.int64), last, {},
        {"train_seconds": SECONDS * ones}, {"x-valid": ones},
    )  # fmt: skip


def official(*, valid: bool = True, test: bool = True, every: bool = True) -> dict[str, np.ndarray]:
    """An official-like table: 12 epochs with validation only, 200 epochs as said."""
    rng = np.random.default_rng(0)
    quality = rng.integers(2000, 9000, SIZE) / 100
    known = {"short": quality, **{f"{d} valid": rng.permutation(quality) for d in DATASETS}}
    known |= {f"{d} test": rng.integers(1000, 9500, SIZE) / 100 for d in DATASETS}
    collector = Collector("made")
    collector.add_block(12, "cifar10-valid", block(x_valid=quality))
    for d in DATASETS if every else DATASETS[:1]:
        splits = {"x_valid": known[f"{d} valid"]} if valid else {}
        if test:
            splits["x_test"] = known[f"{d} test"]
        collector.add_block(200, d, block(**splits))
    imported.save(collector, "official", {"label": "made"})
    return known


def run(tmp_path: Path, text: str = SUITE) -> tuple[list[dict[str, str]], dict, str]:
    """Run a suite with its command; return summary.csv, summary.json and what was printed."""
    path = tmp_path / "s.toml"
    path.write_text(text)
    out = tmp_path / "out"
    arguments = ["run", str(path), "--out", str(out), "--engine", "serial", "--verbose"]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)
    assert done.exit_code == 0, done.output
    with (out / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    return rows, json.loads((out / "summary.json").read_text()), done.output


def test_every_number_of_the_protocol(tmp_path: Path) -> None:
    known = official()
    rows, summary, printed = run(tmp_path)
    assert {(r["dataset"], r["searched_on"]) for r in rows} == {(d, "cifar10") for d in DATASETS}
    assert [r["seconds"] for r in rows if r["algorithm"] == "random_search"] == 3 * [
        "500",
        "1000",
        "1250.0",
    ]
    space, loaded = NASBench201(), suite.load(tmp_path / "s.toml")
    with Store(tmp_path / "out") as store:
        units = {unit.row.algorithm: unit for unit in suite.units(loaded)}
        for name, unit in units.items():
            assert unit.budget == runner.Budget(None, 1250)
            records = store.runs(unit.key())
            assert [r.evaluations for r in records] == [12.0] * 3  # 100 seconds each
            cells = [space.index(tuple(json.loads(r.genotype))) for r in records]
            for d in DATASETS:
                (row,) = (
                    r
                    for r in rows
                    if (r["algorithm"], r["dataset"], r["seconds"]) == (name, d, "1250.0")
                )
                valid, test = known[f"{d} valid"], known[f"{d} test"]
                assert float(row["mean_accuracy"]) == pytest.approx(valid[cells].mean())
                assert float(row["mean_regret"]) == pytest.approx(valid.max() - valid[cells].mean())
                assert float(row["mean_test"]) == pytest.approx(test[cells].mean())
                assert float(row["std_test"]) == pytest.approx(test[cells].std(ddof=1))
                assert float(row["test_low"]) <= float(row["mean_test"]) <= float(row["test_high"])
                assert float(row["evaluations"]) == 12
    assert "ImageNet16-120, 1250 simulated seconds, searched on cifar10" in printed
    assert "test (%)" in printed
    assert summary["searched"] == {"datasets": ["cifar10"], "epochs": 12}
    assert "Searched on cifar10 by accuracy after 12 epochs." in printed
    assert "after full training" not in printed
    assert "it searched by accuracy after" not in printed  # so did we
    printed = " ".join(printed.split())  # as it was before it was broken into lines
    assert "its budget was 12000 simulated seconds, ours is 1250 simulated seconds" in printed
    assert f"ours {known['cifar100 valid'].max():.2f}, published 73.49" in printed  # of 200 epochs


def test_a_point_of_a_curve_is_where_the_clock_stood(tmp_path: Path) -> None:
    known = official()
    rows, _, _ = run(tmp_path)
    unit = suite.units(suite.load(tmp_path / "s.toml"))[0]
    best = []
    for seed in range(3):
        result = runner.search(unit.row.configured, unit.evaluator(), seed=seed, budget=unit.budget)
        answers = [a.genotype for a in result.history[:5]]  # five trainings in 500 seconds
        best.append(max((NASBench201().index(g) for g in answers), key=lambda i: known["short"][i]))
    (row,) = (
        r
        for r in rows
        if (r["algorithm"], r["dataset"], r["seconds"]) == ("random_search", "cifar100", "500")
    )
    assert float(row["mean_test"]) == pytest.approx(known["cifar100 test"][best].mean())
    assert row["evaluations"] == ""  # known at the end only


def test_short_validation_and_long_test_are_enough(tmp_path: Path) -> None:
    known = official(valid=False)
    rows, _, printed = run(tmp_path)
    for row in rows:
        test = known[f"{row['dataset']} test"]
        assert row["mean_accuracy"] == ""
        assert float(row["mean_regret"]) == pytest.approx(test.max() - float(row["mean_test"]))
    assert "best test accuracy" in printed
    assert "validation none, test x-test of cifar100; regret is of test accuracies" in printed
    with pytest.raises(InputError, match="no validation accuracy of cifar10 at 200 epochs"):
        LookupEvaluator(tables.load("official"), "cifar10")
    with pytest.raises(InputError, match="no validation accuracy of cifar10 at 200 epochs"):
        rank_files.of_table("official", "cifar10", NASBench201())
    assert not [c for c in verify.verify("official") if c.status == verify.FAILED]
    again = LookupEvaluator(tables.load("official@12"), "cifar10")
    assert runner.search(RandomSearch(), again, budget=runner.Budget(None, 200)).evaluations == 2


def test_a_table_without_test_accuracies_says_none(tmp_path: Path) -> None:
    official(test=False)
    rows, _, printed = run(tmp_path)
    assert {row["mean_test"] for row in rows} == {""}
    assert "test (%)" not in printed
    assert "test none" in printed


def test_test_accuracies_alone_are_no_table() -> None:
    collector = Collector("made")
    collector.add_block(200, "cifar10", block(x_test=np.full(SIZE, 50.0)))
    with pytest.raises(DataError, match="no validation accuracy at any length"):
        imported.save(collector, "official", {"label": "made"})
    assert imported.names() == []


def test_what_is_missing_is_said() -> None:
    with pytest.raises(InputError, match="with trainings of 12 epochs") as error:
        suite.load(suite.find("nb201_published"))
    assert "table import NAS-Bench-201-v1_1-096897.pth --name official" in str(error.value)
    official(every=False)
    with pytest.raises(InputError, match="cifar100"):
        suite.load(suite.find("nb201_published"))


def test_the_bundled_suite_is_the_protocol() -> None:
    official()
    chosen = suite.load(suite.find("nb201_published"))
    assert (chosen.seeds, chosen.end, chosen.budget.evaluations) == (500, 12000, None)
    assert chosen.reported == DATASETS
    assert {row.algorithm for row in suite.rows(chosen)} >= {
        "genetic_cnn", "eigen", "genetic_nas", "eg_nas", "random_search", "regularized_evolution",
        "local_search",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('datasets = ["cifar10"]', 'datasets = ["cifar10", "cifar100"]', "datasets names 2"),
        ("checkpoints = [500, 1000]", "checkpoints = [500, 2000]", "1..1250 simulated seconds"),
        ('"cifar10", "cifar100", "Im', '"cifar100", "cifar100", "Im', "twice"),
        ('report_on = ["cifar10",', 'report_on = ["cifar11",', "cifar11"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    official()
    (tmp_path / "s.toml").write_text(SUITE.replace(old, new))
    with pytest.raises(InputError, match=message):
        suite.load(tmp_path / "s.toml")


@pytest.mark.parametrize("valid", [True, False])
def test_a_folder_of_a_budget_in_seconds_is_read_back(tmp_path: Path, *, valid: bool) -> None:
    """Also where the long trainings have test accuracies only."""
    official(valid=valid)
    run(tmp_path)
    runner_ = CliRunner()
    out = str(tmp_path / "out")
    for command in (["report", out], ["export", out, "--latex", "--markdown"]):
        done = runner_.invoke(app, command)
        assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "report.html").read_text()
    assert "test (%)" in page
    assert '"spent":"simulated seconds"' in page
    assert "Simulated seconds" in page
    tex = (tmp_path / "out" / "summary.tex").read_text()
    assert "1250 simulated seconds" in tex
    assert r"test (\%)" in tex


def test_a_table_of_ones_own_in_two_lengths(tmp_path: Path) -> None:
    """Long rows: validation after 12 epochs, test after 200, of a few cells."""
    rows = [
        f"#{i},own,{epochs},{split},0,{40 + i + epochs / 10}"
        for i in range(4)
        for epochs, split in ((12, "valid"), (200, "test"))
    ]
    path = tmp_path / "own.csv"
    path.write_text("\n".join(["arch,dataset,epochs,split,trial,accuracy", *rows]))
    imported.import_path(path, "own", progress=lambda d, t: None, missing="infeasible")
    short, long = tables.load("own@12"), tables.load("own")
    cells = [NASBench201().index(NASBench201().parse(f"#{i}")) for i in range(4)]
    assert short.mean_accuracy[0, cells] == pytest.approx([41.2, 42.2, 43.2, 44.2])
    assert long.mean_test(long.datasets[0], NASBench201().parse("#3")) == pytest.approx(63)
    assert long.by_test("own")
    assert long.protocol("own") == "validation: none after 200 epochs; test: test of own"
    assert tables.reported("own@12") is long


def test_a_narrow_console_shows_test_accuracies(tmp_path: Path) -> None:
    official()
    (tmp_path / "s.toml").write_text(SUITE)
    arguments = [
        "run",
        str(tmp_path / "s.toml"),
        "--out",
        str(tmp_path / "o"),
        "--engine",
        "serial",
    ]
    done = CliRunner(env={"COLUMNS": "80"}).invoke(app, arguments)
    assert done.exit_code == 0, done.output
    tables_ = [line for line in done.stdout.splitlines() if "│" not in line]
    assert "test (%)" in done.stdout
    assert max(len(line) for line in tables_ if "±" in line) <= 80
