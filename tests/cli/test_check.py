"""`nasbench-evo check` as a user meets it: accept, pass, fail, refuse; gate one's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from nasbench_evo.cli import check as command
from nasbench_evo.errors import RunsFailed
from nasbench_evo.gate import baseline as gate_baseline
from nasbench_evo.gate import judgement
from nasbench_evo.gate.layers import Order

SUITE = """
name = "small"
datasets = ["cifar10"]
seeds = 20
evaluations = 300
checkpoints = [300]
[[rows]]
algorithm = "random_search"
[[rows]]
algorithm = "regularized_evolution"
"""
MODULE = """
from nasbench_evo.algorithms.regularized_evolution import RegularizedEvolution

class Mine(RegularizedEvolution):
    name = "mine"
    presets = {"paper": {}}
"""
BUG = """
    def search(self, space, rng):
        generator, answers = super().search(space, rng), None
        while True:
            answers = yield generator.send(answers)
            answers = [a._replace(valid_accuracy=-a.valid_accuracy) for a in answers]
"""


def check(folder: Path, *arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    fixed = ("small.toml", "--engine", "serial", "--seeds", "20")
    command = [sys.executable, "-m", "nasbench_evo", "check", *fixed, *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **env},
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a suite and its accepted baseline."""
    folder = tmp_path_factory.mktemp("gate")
    (folder / "small.toml").write_text(SUITE)
    done = check(folder, "--accept")
    assert done.returncode == 0, done.stderr
    assert "Accepted as results/baselines/small.json, which is new." in done.stderr
    return folder


def test_unchanged_code_passes_in_every_format(folder: Path) -> None:
    summary = folder / "summary.md"
    done = check(folder, "--junit", "out/gate.xml", GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == 0, done.stderr
    assert "PASS (small, 20 seeds): 160 of 160 runs equal" in done.stderr
    assert "pass  B distribution: 0 of 8 cells another search" in done.stdout
    assert len(done.stdout.splitlines()) == 4  # a green gate is a line a layer
    root = ElementTree.parse(folder / "out" / "gate.xml").getroot()  # noqa: S314
    assert [suite.attrib["failures"] for suite in root] == ["0", "0", "0", "0"]
    assert summary.read_text().startswith("## ✅ Search-quality gate")


def test_json_has_every_figure(folder: Path) -> None:
    done = check(folder, "--json")
    content = json.loads(done.stdout)
    assert content["passed"]
    assert [cell["verdict"] for cell in content["cells"]] == ["equal"] * 8
    assert len(content["published"]) > 0


def test_accepting_again_shows_what_is_replaced(folder: Path) -> None:
    done = check(folder, "--accept", "--json")
    content = json.loads(done.stdout)
    assert content["replaces"].startswith("replaces one of 2")
    assert {row["same traces"] for row in content["rows"]} == {"20/20"}


def test_an_algorithm_of_ones_own_is_gated_and_its_bug_found(folder: Path) -> None:
    (folder / "mine.py").write_text(MODULE)
    own = ("--algorithm", "mine:Mine")
    assert check(folder, *own).returncode == 2  # no baseline yet
    assert check(folder, *own, "--accept").returncode == 0
    assert (folder / "results" / "baselines" / "small-Mine.json").exists()
    assert check(folder, *own).returncode == 0
    (folder / "mine.py").write_text(MODULE + BUG)
    done = check(folder, *own, "--json")
    content = json.loads(done.stdout)
    assert done.returncode == 5
    assert "behaviour changed, first: mine (paper) on cifar10" in done.stderr
    verdicts = {
        cell["label"]: cell["verdict"] for cell in content["cells"] if cell["dataset"] == "cifar10"
    }
    assert verdicts["mine (paper)"] == "inferior"
    assert verdicts["random_search (paper)"] == "equal"
    failed = [order["requirement"] for order in content["orders"] if not order["passed"]]
    assert "mine (paper) beats random search (p)" in failed


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--baseline", "none.json"), 2, "There is no baseline none.json"),
        (("--baseline", "damaged.json"), 4, "is damaged or edited"),
        (("--baseline", "other.json"), 2, "table_sha256 other"),
        (("--algorithm", "local_serach"), 2, "Did you mean 'local_search'"),
        (("--engine", "proceses"), 2, "Did you mean 'processes'"),
        (("--seeds", "5"), 2, "needs 20 seeds"),
        (("--seeds", "500"), 2, "Use --seeds 20"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    folder: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    good = (folder / "results" / "baselines" / "small.json").read_text()
    (folder / "damaged.json").write_text(good[: len(good) // 2])
    other = json.loads(good)
    other["manifest"]["table_sha256"] = "other"
    (folder / "other.json").write_text(json.dumps(other))
    done = check(folder, *arguments)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def begun(suite: object, *_: object) -> None:
    """In place of the runs: they begin."""
    raise RunsFailed(f"{suite.seeds} seeds begin")  # type: ignore[attr-defined]


def test_outside_a_checkout_the_baseline_is_that_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found, fits the bundled suite, and the runs begin."""

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "_measure", begun)
    with pytest.raises(RunsFailed, match="500 seeds begin"):
        command.check()
    with pytest.raises(RunsFailed, match="20 seeds begin"):
        command.check(seeds=20)


def test_another_number_of_seeds_than_the_suites_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(command, "_measure", begun)
    Path("more.toml").write_text(SUITE.replace("seeds = 20", "seeds = 40"))
    with pytest.raises(RunsFailed, match="20 seeds begin"):
        command.check("more.toml")
    assert "small asks for 40 seeds; the gate runs the 20 of the baseline" in (
        capsys.readouterr().err
    )


def test_a_baseline_that_fails_its_own_ordering_is_said_when_it_is_accepted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    failed = Order("mine beats random search (p)", {}, 0.4, "< 0.005", False)
    monkeypatch.setattr(judgement, "orders", lambda *_: [failed])
    monkeypatch.setattr(command, "_measure", lambda *_: {})
    monkeypatch.setattr(gate_baseline, "of", lambda *_: None)
    monkeypatch.setattr(gate_baseline, "save", lambda *_: None)
    monkeypatch.setattr("nasbench_evo.gate.layers.margins", lambda *_: {})
    monkeypatch.setattr(command, "_print", lambda section: None)
    monkeypatch.setattr("nasbench_evo.gate.report.side_by_side", lambda *_: None)
    command.check("small.toml", accept=True)
    said = capsys.readouterr().err
    assert "fails its own layer C" in said
    assert "mine beats random search (p): 0.4, needed < 0.005" in said
