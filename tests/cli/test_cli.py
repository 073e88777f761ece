"""The command line as a user meets it: outputs, errors, exit codes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from support import cli

from nasbench_evo.algorithms import ALGORITHMS

TINY = """
name = "tiny"
datasets = ["cifar10"]
seeds = 3
evaluations = 20
checkpoints = [10, 20]
[[rows]]
algorithm = "random_search"
[[rows]]
algorithm = "eg_nas"
preset = "nb201"
[[rows]]
algorithm = "eigen"
"""
BEST = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"
)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.toml"
    file.write_text(TINY)
    return file


def test_search_prints_its_keys() -> None:
    done = cli("search", "regularized_evolution", "--evaluations", 50, "--seed", 1, "--json")
    content = json.loads(done.stdout)
    assert done.returncode == 0
    assert {
        "algorithm",
        "space",
        "evaluator",
        "dataset",
        "seed",
        "evaluations",
        "genotype",
        "arch",
        "valid_accuracy",
        "regret",
        "rank",
        "simulated_seconds",
        "trace_sha256",
        "wall_seconds",
    } <= set(content)
    assert content["evaluations"] == 50
    assert content["regret"] == pytest.approx(91.6066667 - content["valid_accuracy"], abs=1e-6)
    again = cli("search", "regularized_evolution", "--evaluations", 50, "--seed", 1, "--json")
    assert json.loads(again.stdout)["trace_sha256"] == content["trace_sha256"]


def test_search_prints_for_people() -> None:
    done = cli("search", "local_search", "--dataset", "cifar100", "--set")
    assert done.returncode == 2
    done = cli("search", "genetic_cnn", "--set", "population_size=4", "--preset", "nb201")
    assert done.returncode == 0
    for part in ("node 3", "regret", "rank", "of 15625", "trace SHA-256", "over"):
        assert part in done.stdout


def test_search_prints_what_the_algorithm_ended_with() -> None:
    asked = ("search", "eg_nas", "--evaluations", 200)
    shown = cli(*asked).stdout
    details = json.loads(cli(*asked, "--json").stdout)["details"]
    regret, arch = details["returned_regret"], details["returned_arch"]
    assert f"ended with      {regret:.3f} percentage points of regret, {arch}" in shown
    same = cli("search", "eigen", "--evaluations", 60)
    assert "ended with      the same" in same.stdout
    assert "ended with" not in cli("search", "random_search", "--evaluations", 20).stdout


def test_run_writes_prints_and_resumes(tiny: Path, tmp_path: Path) -> None:
    done = cli("run", tiny, "--verbose", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "results" / "tiny"
    names = {path.name for path in folder.iterdir()}
    assert {"summary.csv", "summary.json", "manifest.json", "regret.png", "regret.svg"} <= names
    for part in ("eg_nas (nb201)", "P(better)", "published EG-NAS", "not comparable", "landmark"):
        assert part in done.stdout
    assert "9 new runs" in done.stderr
    assert str(Path("results/tiny/summary.csv")) in done.stderr
    before = (folder / "regret.svg").read_bytes(), (folder / "summary.json").read_bytes()

    again = cli("run", tiny, "--json", cwd=tmp_path)
    assert "Resuming: 9/9 done" in again.stderr
    assert before == ((folder / "regret.svg").read_bytes(), (folder / "summary.json").read_bytes())
    rows = json.loads(again.stdout)["rows"]
    assert len(rows) == 6
    assert {
        "algorithm",
        "preset",
        "dataset",
        "evaluations",
        "n",
        "mean_accuracy",
        "std_accuracy",
        "mean_regret",
        "median_regret",
        "iqm_regret",
        "regret_low",
        "regret_high",
    } <= set(rows[0])
    with (folder / "summary.csv").open() as file:
        assert [row["algorithm"] for row in csv.DictReader(file)] == [r["algorithm"] for r in rows]


def test_another_number_of_seeds_has_its_own_folder(tiny: Path, tmp_path: Path) -> None:
    cli("run", tiny, cwd=tmp_path)
    before = (tmp_path / "results/tiny/summary.json").read_bytes()
    done = cli("run", tiny, "--seeds", 1, "--engine", "serial", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/tiny-seeds1/summary.json").exists()
    assert (tmp_path / "results/tiny/summary.json").read_bytes() == before
    rows = json.loads((tmp_path / "results/tiny-seeds1/summary.json").read_text())["rows"]
    assert rows[0]["regret_low"] is None  # one run has no interval


def test_a_dry_run_touches_nothing(tiny: Path, tmp_path: Path) -> None:
    done = cli("run", tiny, "--dry-run", cwd=tmp_path)
    assert "9 runs, 0 done, 9 to do" in done.stdout
    assert not (tmp_path / "results").exists()


def test_table_commands() -> None:
    info = json.loads(cli("table", "info", "--json").stdout)
    assert info["genotypes"] == 15625
    assert info["has_test_accuracy"] is False
    assert info["datasets"]["cifar10"]["best_arch"] == BEST
    for spelling in (BEST, "333132", "#6111"):
        query = json.loads(cli("table", "query", spelling, "--json").stdout)
        assert query["arch"] == BEST
        assert query["datasets"]["cifar10"]["rank"] == 1
        assert query["datasets"]["cifar10"]["mean_accuracy"] == pytest.approx(91.607, abs=5e-4)
    one = cli("table", "query", "333132", "--dataset", "cifar100")
    assert "cifar100" in one.stdout
    assert "ImageNet16-120" not in one.stdout


def test_algorithms_lists_every_hyperparameter() -> None:
    content = json.loads(cli("algorithms", "--json").stdout)
    assert set(content) == set(ALGORITHMS)
    assert content["eigen"]["hyperparameters"]["p"]["default"] == 5
    assert "preset nb201" in cli("algorithms").stdout


def test_one_algorithm_is_explained() -> None:
    shown = cli("algorithms", "eigen").stdout
    assert "primary_step = " in shown
    assert "(1..)" in shown
    assert "genetic_cnn  (" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    wrong = cli("algorithms", "eigne")
    assert wrong.returncode == 2
    assert "Did you mean 'eigen'" in wrong.stderr


def test_suites_lists_those_that_can_be_run() -> None:
    content = json.loads(cli("suites", "--json").stdout)
    assert content["nb201"]["datasets"] == ["cifar10", "cifar100", "ImageNet16-120"]
    assert "published" not in content
    shown = cli("suites").stdout
    assert "nb201  (lookup, 12 rows x 3 data sets x 500 seeds)" in shown
    assert "nb201_transfer  (lookup, 12 rows x 1 data set x 500 seeds)" in shown
    said = cli("run", "nb201", "--dry-run").stdout
    assert "12 rows x 3 data sets x 500 seeds x 300 evaluations = 18000 runs" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "genetic_cn"], "Did you mean 'genetic_cnn'"),
        (["search", "eigen", "--dataset", "cifar"], "Known: ImageNet16-120, cifar10, cifar100"),
        (["search", "eigen", "--preset", "papers"], "Did you mean 'paper'"),
        (["search", "eigen", "--set", "patience"], "Expected key=value"),
        (["search", "eigen", "--set", "patence=3"], "Did you mean 'patience'"),
        (["search", "eigen", "--set", "patience=many"], "must be int"),
        (["search", "eigen", "--set", "patience=0"], "at least 1; got 0"),
        (["search", "eigen", "--set", "elitist=maybe"], "true or false"),
        (["search", "eigen", "--set", "mimicry=true"], "mimicry=false"),
        (["search", "eigen", "--set", "duplication=true"], "duplication=false"),
        (["search", "eg_nas", "--set", "sigma=nan"], "got nan"),
        (["search", "eigen", "--evaluations", "0"], "must be positive"),
        (["search", "eigen", "--seed", "-1"], "0 or above"),
        (["search", "eg_nas", "--evaluations", "0.5"], "evaluated nothing"),
        (["table", "query", "resnet"], "six operation digits"),
        (["table", "query", "333132", "--dataset", "mnist"], "Unknown data set 'mnist'"),
        (["run", "nb2001"], "Did you mean 'nb201'"),
        (["run", "nowhere.toml"], "nowhere.toml"),
        (["run", "nb201", "--engine", "thread"], "Unknown engine"),
        (["run", "nb201", "--seeds", "0"], "--seeds"),
        (["run", "nb201", "--out", "/proc/nothing"], "Cannot write results to /proc/nothing"),
        (["fly"], "No such command"),
    ],
)
def test_bad_input_is_explained_with_exit_code_2(arguments: list[str], message: str) -> None:
    done = cli(*arguments)
    assert done.returncode == 2, done.stderr
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_damaged_table_is_named_with_its_hash(tmp_path: Path) -> None:
    cli("table", "query", "333132", NASBENCH_EVO_CACHE=str(tmp_path))
    (file,) = tmp_path.glob("*.table")
    file.write_bytes(file.read_bytes()[:-1])
    done = cli("search", "eigen", NASBENCH_EVO_CACHE=str(tmp_path))
    assert done.returncode == 4
    assert str(file) in done.stderr
    assert "expected SHA-256 98e5a4654c5eface" in done.stderr


def test_every_verb_has_help() -> None:
    for verb in (
        [],
        ["run"],
        ["search"],
        ["algorithms"],
        ["table"],
        ["table", "info"],
        ["table", "query"],
    ):
        done = cli(*verb, "--help")
        assert done.returncode == 0
        assert "Usage" in done.stdout
    assert cli("--version").stdout.strip().count(".") == 2
