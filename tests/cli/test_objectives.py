"""Simulated workers, fronts of suites and searches for several objectives, as a user meets them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from support import cli

TINY = """
name = "tiny"
datasets = ["cifar10"]
seeds = 3
evaluations = 20
checkpoints = [20]
[[rows]]
algorithm = "random_search"
[[rows]]
algorithm = "genetic_nas"
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path / "tiny.toml"


def test_run_on_simulated_workers(tiny: Path, tmp_path: Path) -> None:
    done = cli("run", tiny, "--simulated-workers", 4, "--seeds", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "results" / "tiny-seeds2"
    names = {"wallclock-4.csv", "wallclock-4.png", "wallclock-4.svg"}
    assert {path.name for path in folder.iterdir()} == names  # no run is stored
    with (folder / "wallclock-4.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["workers"] for row in rows} == {"1", "4"}
    assert {row["n"] for row in rows} == {"2"}
    assert "busy" in done.stdout
    assert "wallclock-4.png" in done.stderr

    other = tmp_path / "other"
    again = cli("run", tiny, "--simulated-workers", 1, "--json", "--out", other, cwd=tmp_path)
    content = json.loads(again.stdout)
    assert {row["workers"] for row in content} == {1}
    assert {row["n"] for row in content} == {3}
    assert (other / "wallclock-1.csv").exists()


def test_pareto_of_a_suite(tiny: Path, tmp_path: Path) -> None:
    done = cli("pareto", tiny, "--json", "--out", tmp_path / "p", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert {row["objective"] for row in content["fronts"]} == {"params", "latency"}
    assert len(content["volumes"]) == 2 * 2
    for name in ("pareto.csv", "pareto-hypervolume.csv", "pareto.png", "pareto.svg"):
        assert (tmp_path / "p" / name).exists()
    assert "hypervolume %" in cli("pareto", tiny, "--seeds", 1, cwd=tmp_path).stdout


def test_search_for_a_non_dominated_set() -> None:
    pytest.importorskip("moocore", reason="extra multi is not installed")
    arguments = ("search", "regularized_evolution", "--objective", "accuracy,params,latency")
    done = cli(*arguments, "--evaluations", 60, "--seed", 2, "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    members = content["non_dominated"]
    assert content["evaluations"] == 60
    assert content["objectives"] == ["accuracy", "params", "latency"]
    points = [(-m["seen_accuracy"], m["params"], m["latency"]) for m in members]
    for a in points:
        assert not any(b != a and all(x <= y for x, y in zip(b, a, strict=True)) for b in points)
    again = cli(*arguments, "--evaluations", 60, "--seed", 2, "--json")
    assert json.loads(again.stdout)["trace_sha256"] == content["trace_sha256"]
    people = cli(*arguments, "--evaluations", 60, "--seed", 2).stdout
    assert f"{len(members)} cells that no other dominates" in people
    assert all(member["arch"] in people for member in members)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nb201", "--simulated-workers", "0"], "--simulated-workers"),
        (["run", "nb201", "--simulated-workers", "2", "--dry-run"], "--seeds, --out and --json"),
        (["run", "nb201", "--simulated-workers", "2", "--workers", "1"], "goes with --seeds"),
        (["run", "nb201", "--simulated-workers", "2", "--out", "/proc/no"], "Cannot write results"),
        (["pareto", "nb2001"], "Did you mean 'nb201'"),
        (["pareto", "nb201", "--out", "/proc/no"], "Cannot write results to /proc/no"),
        (["search", "genetic_nas", "--objective", "accuracy"], "accuracy and one or more of"),
        (["search", "genetic_nas", "--objective", "params"], "accuracy and one or more of"),
        (["search", "genetic_nas", "--objective", "accuracy,size"], "Unknown objective 'size'"),
        (["search", "genetic_nas", "--objective", "accuracy,flops"], "has no FLOPs"),
        (
            [
                "search",
                "genetic_nas",
                "--objective",
                "accuracy,params",
                "--evaluator",
                "standalone",
            ],
            "--objective needs --evaluator lookup",
        ),
    ],
)
def test_bad_requests_are_explained_with_exit_code_2(arguments: list[str], message: str) -> None:
    done = cli(*arguments)
    assert done.returncode == 2, done.stderr
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_algorithms_without_operators_are_named() -> None:
    pytest.importorskip("moocore", reason="extra multi is not installed")
    done = cli("search", "eigen", "--objective", "accuracy,params")
    assert done.returncode == 2
    assert "genetic_cnn, genetic_nas, regularized_evolution" in done.stderr


@pytest.mark.torch
def test_suites_that_train_have_no_simulated_clock(tmp_path: Path) -> None:
    for command in (
        ["run", "training_digits", "--simulated-workers", "2"],
        ["pareto", "training_digits"],
    ):
        done = cli(*command, "--out", tmp_path / "none")
        assert done.returncode == 2, done.stderr
        assert "a suite that does" in " ".join(done.stderr.split())
        assert not (tmp_path / "none").exists()
