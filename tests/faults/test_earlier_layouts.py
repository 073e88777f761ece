"""What earlier versions wrote is read: stores of the first layout, journals without hashes."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from faults.fault_support import FILE

from nasbench_evo import suite as suites
from nasbench_evo.errors import DataError
from nasbench_evo.evaluators.journal import Journal
from nasbench_evo.execution import opened
from nasbench_evo.files import digest
from nasbench_evo.store import Record, Store

EARLIER = Path(__file__).with_name("earlier") / "store_layout_1.sqlite"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A results folder of the first layout."""
    shutil.copy(EARLIER, tmp_path / FILE)
    return tmp_path


def plain(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """The content of a first-layout store, as SQLite has it."""
    with contextlib.closing(sqlite3.connect(folder / FILE)) as db:
        return {
            table: db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()  # noqa: S608
            for table in ("meta", "units", "runs")
        }


def test_a_store_of_the_first_layout_opens_and_gets_its_hashes(folder: Path) -> None:
    before = plain(folder)
    assert len(before["runs"]) == 6
    with Store(folder) as store:
        for unit, _ in before["units"]:
            kept = [row for row in before["runs"] if row[0] == unit]
            assert store.runs(str(unit)) == [Record(*row) for row in kept]  # type: ignore[arg-type]
            assert store.seeds(str(unit)) == {0, 1, 2}
        assert {key: store.get_meta(str(key)) for key, _ in before["meta"]} == dict(before["meta"])
    after = plain(folder)
    assert {table: [row[:-1] for row in rows] for table, rows in after.items()} == before
    content = (folder / FILE).read_bytes()
    with Store(folder):
        pass
    assert (folder / FILE).read_bytes() == content  # once


def test_its_suite_may_go_on_in_it(folder: Path) -> None:
    before = plain(folder)
    text = dict(before["meta"])["suite"]
    suite = suites.Suite.model_validate({**json.loads(str(text)), "seeds": 4})
    with opened(suite, folder) as store:
        assert store.get_meta("seeds") == "4"
        store.add([Record("u", 0, "[]", 1, 1, "", 0, "[]", "{}")])  # type: ignore[arg-type]
        assert store.runs("u")[0].evaluations == 1.0
    with Store(folder) as store:  # numbers are hashed as SQLite returns them
        assert store.seeds("u") == {0}


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE runs DROP COLUMN notes",
        "ALTER TABLE runs ADD COLUMN more TEXT",
        "ALTER TABLE runs RENAME TO other",
    ],
)
def test_other_tables_are_no_store(folder: Path, change: str) -> None:
    with contextlib.closing(sqlite3.connect(folder / FILE)) as db:
        db.execute(change)
    with pytest.raises(DataError, match="damaged or no store"), Store(folder):
        pass


def test_a_journal_without_hashes_is_replayed_and_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    lines = [
        {"format": 1, "identity": digest({"seed": 1})},
        {"request": digest("first")},
        {"training": "a", "answer": {"valid_accuracy": 90.5}},
    ]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    file.write_text(text)
    for _ in range(2):
        journal = Journal(file, {"seed": 1})
        journal.ask("first")
        assert journal.answer("a") == {"valid_accuracy": 90.5}
        if journal.answer("b") is None:
            journal.record("b", {"valid_accuracy": 91.5})
    assert file.read_text().startswith(text)
    assert Journal(file, {"seed": 1}).answer("b") == {"valid_accuracy": 91.5}
    for wrong in ("[1]", '{"other": 1}', '{"training": "c"}'):
        file.write_text(text + wrong + "\n")
        with pytest.warns(UserWarning, match="is damaged"):
            assert Journal(file, {"seed": 1}).answer("a") == {"valid_accuracy": 90.5}
        assert file.read_text() == text
