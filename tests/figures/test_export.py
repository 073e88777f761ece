"""The summary for other programs."""

from __future__ import annotations

import csv
import dataclasses
import re
import sys
from pathlib import Path

import pytest
from report.stored_suite import make
from typer.testing import CliRunner

from nasbench_evo.cli import app
from nasbench_evo.errors import Unsupported
from nasbench_evo.report import export
from nasbench_evo.results.folder import Stored, read


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return read(make(tmp_path_factory.mktemp("export")))


def test_latex_is_balanced_and_escaped(stored: Stored) -> None:
    text = export.latex(stored)
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 2
    assert text.count("{") == text.count("}")
    assert text.count(r"\textbf{") >= 2
    assert re.search(r"(?<!\\)_", text) is None
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in rows} == {11}
    assert len(rows) == 2 * (1 + 7)


def test_latex_makes_commands_plain() -> None:
    assert export.escape_latex("a_b & 5% {x} \\y") == r"a\_b \& 5\% \{x\} \textbackslash{}y"


def test_markdown_is_a_table_whose_numbers_are_the_summary(stored: Stored) -> None:
    text = export.markdown(stored)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in table} == {13}
    last = [row for row in stored.found.rows if (row.dataset, row.evaluations) == ("cifar10", 130)]
    best = min(row.mean_regret for row in last)
    assert f"**{best:.3f} [" in text
    assert export.escape_markdown("<b>|_") == "\\<b\\>\\|\\_"


def test_a_missing_extra_is_explained(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(export.importlib, "import_module", missing)
    with pytest.raises(Unsupported, match=r"pip install 'nasbench-evo\[parquet\]'"):
        export.write_parquet(stored)
    with pytest.raises(Unsupported, match=r"pip install 'nasbench-evo\[tensorboard\]'"):
        export.write_tensorboard(stored)


def test_run_names_the_missing_extra_before_anything_runs(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    suite = stored.folder.parent / "suite.toml"
    arguments = ["run", str(suite), "--tensorboard", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, Unsupported)
    assert "nasbench-evo[tensorboard]" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_parquet_holds_every_run(stored: Stored) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="extra parquet is not installed")
    tables = [parquet.read_table(path) for path in export.write_parquet(stored)]
    summary, runs, steps = tables
    assert summary.num_rows == len(stored.found.rows)
    assert runs.num_rows == 168
    assert steps.num_rows > 168
    assert min(runs["regret"].to_pylist()) >= 0


def test_tensorboard_has_the_curve_of_a_run(stored: Stored, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="extra tensorboard is not installed")
    one = dataclasses.replace(stored.collected[0], records=stored.collected[0].records[:1])
    small = dataclasses.replace(stored, folder=tmp_path, collected=[one])
    (folder,) = export.write_tensorboard(small)
    (events,) = folder.rglob("events.*")
    assert b"valid_accuracy" in events.read_bytes()
    assert events.parent.name == "seed-0"


def test_trajectories_end_where_their_run_ends(stored: Stored, tmp_path: Path) -> None:
    small = dataclasses.replace(stored, folder=tmp_path)
    runs, steps = (
        list(csv.DictReader(path.read_text().splitlines())) for path in export.write_csv(small)
    )
    assert len(runs) == 168
    key = ("algorithm", "preset", "dataset", "seed")
    last = {tuple(step[k] for k in key): step for step in steps}  # in their order
    assert len(last) == 168
    for one in runs:
        end = last[tuple(one[k] for k in key)]
        assert float(end["regret"]) == pytest.approx(float(one["regret"]))
        assert (end["arch"], end["simulated_seconds"]) == (one["arch"], "")
        assert float(end["evaluations"]) <= float(one["evaluations"])
