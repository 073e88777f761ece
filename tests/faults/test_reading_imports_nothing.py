"""A results folder of somebody else's is read by name: no code that it names is imported."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from faults.fault_support import command
from support import cli

MODULE = """
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from nasbench_evo.algorithms import Algorithm, parameter
from nasbench_evo.requests import Evaluate

Path("imported").touch()

@dataclass(frozen=True)
class Own(Algorithm):
    name: ClassVar[str] = "own"
    paper: ClassVar[str] = "none"
    presets: ClassVar = {"paper": {}, "large": {"size": 8}}
    size: int = parameter(3, "individuals of a generation", low=1)
    rate: float = parameter(0.5, "nothing", low=0)

    def search(self, space, rng):
        while True:
            yield Evaluate(space.sample(rng, self.size))
"""
SUITE = """
name = "outside"
datasets = ["cifar10"]
seeds = 3
evaluations = 20
checkpoints = [20]
rows = [
    { algorithm = "own_module:Own", grid = { rate = [0.1, 0.2] } },
    { algorithm = "own_module:Own", preset = "large", set = { rate = 0.3 } },
    { algorithm = "random_search" },
]
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module, a suite and its results; the module marks that it was imported."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "own_module.py").write_text(MODULE)
    (folder / "outside.toml").write_text(SUITE)
    done = subprocess.run(
        command(Path("outside.toml"), Path("results"), "--engine", "serial"),
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "imported").exists()
    assert done.stderr.count(f"Importing own_module from {folder}: its code runs as you.") == 1
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ["report", "results"],
        ["figures", "results", "--format", "svg", "--out", "elsewhere"],
        ["export", "--latex", "--markdown", "results"],
        ["run", "outside.toml", "--out", "results", "--dry-run"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("there", [True, False], ids=["module there", "module gone"])
def test_reading_imports_nothing(
    finished: Path, tmp_path: Path, words: list[str], there: bool
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    (folder / "imported").unlink()
    if not there:
        (folder / "own_module.py").unlink()
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
    done = cli(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert not (folder / "imported").exists()
    assert "Importing" not in done.stderr
    if words[0] == "figures":
        assert (folder / "elsewhere" / "final.svg").exists()  # its texts are outlines
        assert not (folder / "results" / "final.svg").exists()
    if words[0] == "run":
        assert "12 runs, 12 done, 0 to do" in done.stdout
    if words[0] == "export":
        text = (folder / "results" / "summary.md").read_text()
        for label in ("own (large, rate=0.3)", "rate=0.1", "rate=0.2"):
            assert label in text
        own = {
            (row["label"], row["final_regret"] if "final_regret" in row else row["mean_regret"])
            for row in json.loads((finished / "results" / "summary.json").read_text())["rows"]
        }
        assert len(own) == 4


def test_a_dry_run_of_a_suite_that_never_ran(tmp_path: Path) -> None:
    (tmp_path / "own_module.py").write_text(MODULE)
    (tmp_path / "outside.toml").write_text(SUITE)
    done = cli("run", "outside.toml", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "12 runs, 0 done, 12 to do" in done.stdout
    assert not (tmp_path / "imported").exists()


def test_what_is_imported_already_is_used(finished: Path, tmp_path: Path) -> None:
    """In Python a person imports a module themselves, and figures may repeat its runs."""
    code = (
        "import own_module\nfrom pathlib import Path\n"
        "from nasbench_evo.results.folder import read\n"
        "found = {type(r.unit.row.configured) for r in read(Path('results')).collected}\n"
        "assert own_module.Own in found, found"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=finished, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_folder_that_does_not_say_is_refused(finished: Path, tmp_path: Path) -> None:
    import contextlib
    import sqlite3

    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    with contextlib.closing(sqlite3.connect(folder / "results" / "runs.sqlite")) as db:
        db.execute("DELETE FROM meta WHERE key = 'rows'")
        db.commit()
    done = cli("report", "results", cwd=folder)
    assert done.returncode == 2
    assert "Give their `nasbench-evo run` again" in done.stderr
    again = cli("run", "outside.toml", "--out", "results", "--engine", "serial", cwd=folder)
    assert again.returncode == 0
    assert "0 new runs" in again.stderr
    assert cli("report", "results", cwd=folder).returncode == 0
