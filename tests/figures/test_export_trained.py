"""Suites that train for other programs: tables, runs, scalars."""

from __future__ import annotations

import json
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report.stored_training import STANDALONE, SUPERNET, make
from typer.testing import CliRunner

from nasbench_evo.cli import app
from nasbench_evo.report import export
from nasbench_evo.results.columns import Sheet
from nasbench_evo.results.folder import Stored, read

pytestmark = pytest.mark.torch

Scalar = tuple[str, str, float, int]  # folder, tag, value, step


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stored]:
    return {
        "standalone": read(make(tmp_path_factory.mktemp("export_standalone"), STANDALONE)),
        "supernet": read(make(tmp_path_factory.mktemp("export_supernet"), SUPERNET)),
    }


def sheets(stored: Stored) -> list[Sheet]:
    return stored.kind.sheets(stored.found)


@pytest.fixture
def scalars(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[Scalar]]:
    """Stand in for tensorboardX; return what reads the scalars that lie below a folder."""

    class SummaryWriter:
        def __init__(self, folder: str) -> None:
            self.folder = folder
            self.given: list[tuple[str, float, int]] = []

        def __enter__(self) -> SummaryWriter:
            return self

        def __exit__(self, *error: object) -> None:
            Path(self.folder).mkdir(parents=True, exist_ok=True)
            (Path(self.folder) / "events.out.tfevents.1").write_text(json.dumps(self.given))

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            self.given.append((tag, value, step))

    def read(folder: Path) -> list[Scalar]:
        files = sorted(folder.rglob("events.out.tfevents.*"))
        return [(str(f.parent), *entry) for f in files for entry in json.loads(f.read_text())]

    module: Any = types.ModuleType("tensorboardX")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "tensorboardX", module)
    return read


def test_trainings_have_their_table_at_the_end(stored: dict[str, Stored]) -> None:
    (sheet,) = sheets(stored["standalone"])
    assert sheet.head == (
        *("algorithm (preset)", "n", "seen (%)", "rank", "final valid (%)", "final test (%)"),
        *("trainings", "s/run", "P(better)", "p", "ended on it"),
    )
    ranks = [int(line[3].partition(" ")[0]) for line in sheet.lines]
    assert ranks == sorted(ranks)
    assert sheet.title == "digits, 4 evaluations"
    assert {line[0].partition(" ")[0] for line in sheet.lines} == {"random_search", "eigen"}


def test_shared_weights_have_a_table_for_each_data_set_of_the_truth(
    stored: dict[str, Stored],
) -> None:
    rows = stored["supernet"].found.rows
    found = sheets(stored["supernet"])
    assert len(found) == 3
    for sheet, dataset in zip(found, ("cifar10", "cifar100", "ImageNet16-120"), strict=True):
        assert f"judged on {dataset}" in sheet.title
        place = sheet.head.index("standalone (%)")
        expected = sorted((row.truth for row in rows if row.truth_dataset == dataset), reverse=True)
        shown = [line[place].partition(" ")[0] for line in sheet.lines]
        assert shown == [f"{truth:.2f}" for truth in expected]
        assert sheet.marked(sheet.rows[0], sheet.columns[place])
        on_table = next(line for line in sheet.lines if "table" in line)
        assert on_table[sheet.head.index("tau-b")] == ""


@pytest.mark.parametrize("kind", ["standalone", "supernet"])
def test_tables_are_balanced(stored: dict[str, Stored], kind: str) -> None:
    text = export.latex(stored[kind])
    assert text.count("{") == text.count("}")
    assert re.search(r"(?<!\\)_", text) is None
    tables = export.markdown(stored[kind]).split("\n\n")
    for sheet in sheets(stored[kind]):
        pipes = len(sheet.head) + 1
        own = next(block for block in tables if block.startswith("| " + sheet.head[0]))
        tables.remove(own)
        assert {line.replace("\\|", "").count("|") for line in own.splitlines()} == {pipes}
        best = [sheet.marked(row, column) for row in sheet.rows for column in sheet.columns]
        assert own.count("**") == 2 * sum(best)


def test_scalars_are_the_accuracy_as_seen_and_the_final_trainings(
    stored: dict[str, Stored], scalars: Callable[[Path], list[Scalar]]
) -> None:
    some = stored["standalone"]
    (folder,) = export.write_tensorboard(some)
    written = scalars(folder)
    record = some.collected[1].records[0]
    own = [entry[1:] for entry in written if "eigen" in entry[0] and entry[0].endswith("seed-0")]
    curve = [(point.seen, point.spent) for point in record.curve]
    seen = [(value, step) for tag, value, step in own if tag == "valid_accuracy_as_seen"]
    assert seen == [(accuracy, -int(-spent // 1)) for accuracy, spent in curve]
    final = record.final
    (test,) = [value for tag, value, _ in own if tag == "final_test_accuracy"]
    assert test == pytest.approx(sum(one["test_accuracy"] for one in final) / len(final))
    assert {Path(entry[0]).relative_to(folder).parts[0] for entry in written} == {"digits"}


def test_scalars_of_a_search_on_the_table_are_of_the_truth(
    stored: dict[str, Stored], scalars: Callable[[Path], list[Scalar]]
) -> None:
    some = stored["supernet"]
    written = scalars(*export.write_tensorboard(some))
    tags = {tag for folder, tag, _, _ in written if "on_the_table" in folder}
    assert tags == {"standalone_accuracy"}
    (unit,) = [runs for runs in some.collected if runs.unit.row.on_table]
    track = some.kind.track(some.suite, unit.unit, 0)
    last = [value for f, _, value, _ in written if "on_the_table" in f and f.endswith("seed-0")][-1]
    assert last == track.value(unit.records[0].curve[-1])


def test_an_earlier_export_is_replaced(
    stored: dict[str, Stored], scalars: Callable[[Path], list[Scalar]], tmp_path: Path
) -> None:
    (folder,) = export.write_tensorboard(stored["standalone"])
    old = next(folder.rglob("events.out.tfevents.*")).with_name("events.out.tfevents.0")
    old.touch()
    export.write_tensorboard(stored["standalone"])
    assert len(list(folder.rglob("events.*"))) == 4
    assert not old.exists()


def test_run_writes_the_scalars_of_finished_runs(
    tmp_path: Path, scalars: Callable[[Path], list[Scalar]]
) -> None:
    (tmp_path / "tiny.toml").write_text(STANDALONE.replace("seeds = 2", "seeds = 1"))
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app,
        [
            "run",
            str(tmp_path / "tiny.toml"),
            "--engine",
            "serial",
            "--tensorboard",
            "--out",
            str(out),
        ],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    assert str(out / "tensorboard") in done.output
    written = scalars(out / "tensorboard")
    assert {Path(entry[0]).name for entry in written} == {"seed-0"}
    assert len({entry[0] for entry in written}) == 2


def test_parquet_holds_every_run(stored: dict[str, Stored]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="extra parquet is not installed")
    for some in stored.values():
        summary, runs, *_ = map(parquet.read_table, export.write_parquet(some))
        assert summary.num_rows == len(some.found.rows)
        records = [record for unit in some.collected for record in unit.records]
        assert runs["trace_sha256"].to_pylist() == [record.trace_sha256 for record in records]
    assert runs["seen"].to_pylist().count(None) == 2  # those on the table
    assert None not in runs["standalone"].to_pylist()
