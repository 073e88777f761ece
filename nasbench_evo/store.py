"""Runs on disk: one SQLite row a finished run, keyed by the content of what was asked.

A unit is everything but the seed (algorithm, hyper-parameters, space, evaluator, data set,
budget, result format). A finished run is therefore never repeated, and a changed one is never
mistaken for it. Only one process writes; `lock` holds that.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from nasbench_evo.errors import DataError, InputError

RESULT_FORMAT = 1  # raise it when the same question may get another answer
FILE = "runs.sqlite"

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE units (unit TEXT PRIMARY KEY, description TEXT NOT NULL) STRICT;
CREATE TABLE runs (
    unit TEXT NOT NULL REFERENCES units (unit),
    seed INTEGER NOT NULL,
    genotype TEXT NOT NULL,
    evaluations REAL NOT NULL,
    simulated_seconds REAL NOT NULL,
    trace_sha256 TEXT NOT NULL,
    wall_seconds REAL NOT NULL,
    curve TEXT NOT NULL,
    notes TEXT NOT NULL,
    PRIMARY KEY (unit, seed)
) STRICT, WITHOUT ROWID;
"""


class Record(NamedTuple):
    """One finished run, as stored. JSON texts: genotype, curve [[spent, genotype], ...], notes."""

    unit: str
    seed: int
    genotype: str
    evaluations: float
    simulated_seconds: float
    trace_sha256: str
    wall_seconds: float
    curve: str
    notes: str


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def unit_key(description: Mapping[str, Any]) -> str:
    """Return the key of a unit: the hash of its description and of the result format."""
    content = canonical({**description, "result_format": RESULT_FORMAT})
    return hashlib.sha256(content.encode()).hexdigest()


class Store:
    """The runs of one results folder. Use as a context manager.

    Raises DataError for a file that is no store of this format or is damaged, InputError for a
    folder that cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        new = not self.path.exists()
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            # A kill may have left an empty file; the schema comes in one transaction.
            if new or not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                self._db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
                self.set_meta("result_format", str(RESULT_FORMAT))
            if self._db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise DataError(f"{self.path} is damaged. Use --fresh to start over.")
        except sqlite3.OperationalError as error:
            raise InputError(f"Cannot write {self.path}: {error}. Choose another --out.") from error
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"{self.path} is damaged or no store ({error}). Use --fresh to start over."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    def get_meta(self, key: str) -> str | None:
        """Return a stored text, or None."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        """Store a text."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def add_units(self, descriptions: Mapping[str, Mapping[str, Any]]) -> None:
        """Store what each unit key stands for."""
        rows = [(unit, canonical(text)) for unit, text in descriptions.items()]
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR IGNORE INTO units VALUES (?, ?)", rows)

    def add(self, records: Iterable[Record]) -> None:
        """Store finished runs in one transaction; they survive kill -9 once this returns."""
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT INTO runs VALUES (?,?,?,?,?,?,?,?,?)", records)

    def seeds(self, unit: str) -> set[int]:
        """Return the seeds of a unit that are done."""
        return {seed for (seed,) in self._db.execute("SELECT seed FROM runs WHERE unit=?", (unit,))}

    def runs(self, unit: str) -> list[Record]:
        """Return the finished runs of a unit in seed order."""
        query = "SELECT * FROM runs WHERE unit = ? ORDER BY seed"
        return [Record(*row) for row in self._db.execute(query, (unit,))]
