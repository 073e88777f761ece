"""Runs on disk: one SQLite row a finished run, keyed by the content of what was asked.

A unit is everything but the seed (algorithm, hyper-parameters, space, evaluator, data set,
budget, result format). A finished run is therefore never repeated, and a changed one is never
mistaken for it. Only one process writes; the folder's lock holds that.

SQLite finds a broken file, but not a changed value: every row carries the SHA-256 of its content,
and all of them are checked when a store is opened. A store of the first layout, which had none,
gets them then; its results stay what they are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from nasbench_evo.errors import DataError, InputError
from nasbench_evo.files import canonical, digest

RESULT_FORMAT = 1  # raise it when the same question may get another answer
FILE = "runs.sqlite"

_SCHEMA = {
    "meta": """CREATE TABLE meta (
        key TEXT PRIMARY KEY, value TEXT NOT NULL, sha256 TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "units": """CREATE TABLE units (
        unit TEXT PRIMARY KEY, description TEXT NOT NULL, sha256 TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "runs": """CREATE TABLE runs (
        unit TEXT NOT NULL REFERENCES units (unit),
        seed INTEGER NOT NULL,
        genotype TEXT NOT NULL,
        evaluations REAL NOT NULL,
        simulated_seconds REAL NOT NULL,
        trace_sha256 TEXT NOT NULL,
        wall_seconds REAL NOT NULL,
        curve TEXT NOT NULL,
        notes TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        PRIMARY KEY (unit, seed)
    ) STRICT, WITHOUT ROWID""",
}
# What SQLite says where the file is sound but the disk or the folder does not let it write.
_UNWRITABLE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}


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


def progress(folder: Path) -> tuple[int, int]:
    """Return how many runs a results folder holds and how many its suite asks for, 0 if unknown.

    For those who look on while another process writes: nothing is created, changed or checked, and
    a store that cannot be read at this moment holds nothing.
    """
    path = (folder / FILE).absolute()
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
            (done,) = db.execute("SELECT count(*) FROM runs").fetchone()
            (rows,) = db.execute("SELECT count(*) FROM units").fetchone()
            seeds = db.execute("SELECT value FROM meta WHERE key = 'seeds'").fetchone()
    except sqlite3.Error:
        return 0, 0
    return int(done), int(rows) * int(seeds[0]) if seeds else 0


def unit_key(description: Mapping[str, Any]) -> str:
    """Return the key of a unit: the hash of its description and of the result format."""
    return digest({**description, "result_format": RESULT_FORMAT})


def _sealed(table: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """Return the row of a table: its values and the SHA-256 of them."""
    return (*values, digest([table, *values]))


class Store:
    """The runs of one results folder. Use as a context manager.

    Raises, here and in every method, DataError for a file that is no store or is damaged,
    InputError where it cannot be written; what is stored stays.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        with self._explained():
            self._db = sqlite3.connect(self.path, isolation_level=None)
            try:
                self._open()
            except BaseException:
                self._db.close()
                raise

    def _open(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        columns = [name for _, name, *_ in self._db.execute("PRAGMA table_info(runs)")]
        # A kill may have left an empty file; the tables come in one transaction.
        if not columns and not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            with self._transaction():
                for statement in _SCHEMA.values():
                    self._db.execute(statement)
                self.set_meta("result_format", str(RESULT_FORMAT))
        elif columns == list(Record._fields):
            self._migrate()
        elif columns != [*Record._fields, "sha256"]:
            raise self._damaged(f"its runs have the columns {', '.join(columns) or 'none'}")
        self._check()

    def _migrate(self) -> None:
        """Turn the first layout, whose rows had no SHA-256, into today's."""
        with self._transaction():
            for table, statement in _SCHEMA.items():
                self._db.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
                self._db.execute(statement)
                self._insert(table, self._db.execute(f"SELECT * FROM old_{table}"))  # noqa: S608
            for table in _SCHEMA:
                self._db.execute(f"DROP TABLE old_{table}")

    def _check(self) -> None:
        """Raise DataError unless the file is sound and every row is as it was written."""
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise self._damaged(found)
        for table in _SCHEMA:
            for row in self._db.execute(f"SELECT * FROM {table}"):  # noqa: S608
                if row != _sealed(table, row[:-1]):
                    raise self._damaged(f"a row of {table} does not have its SHA-256")

    def _damaged(self, reason: object) -> DataError:
        return DataError(
            f"{self.path} is damaged or no store ({reason}). Move it away to keep it (sqlite3's "
            ".recover may read what is left of it), then run the suite again."
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite raises inside the block into errors that say what to do."""
        try:
            yield
        except UnicodeDecodeError as error:  # SQLite quotes damaged bytes in its message
            raise self._damaged(error) from error
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _UNWRITABLE:
                raise InputError(
                    f"Cannot write {self.path}: {error}. Free space or choose another --out; "
                    "finished runs are kept."
                ) from error
            raise self._damaged(error) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            yield

    def _insert(self, table: str, rows: Iterable[Sequence[Any]], also: str = "") -> None:
        sealed = [_sealed(table, row) for row in rows]
        if sealed:
            marks = ", ".join("?" * len(sealed[0]))
            self._db.executemany(f"INSERT {also} INTO {table} VALUES ({marks})", sealed)  # noqa: S608

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
        with self._explained():
            row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        """Store a text."""
        with self._explained():
            self._insert("meta", [(key, value)], "OR REPLACE")

    def add_units(self, descriptions: Mapping[str, Mapping[str, Any]]) -> None:
        """Store what each unit key stands for."""
        with self._explained(), self._transaction():
            rows = [(unit, canonical(text)) for unit, text in descriptions.items()]
            self._insert("units", rows, "OR IGNORE")

    def add(self, records: Iterable[Record]) -> None:
        """Store finished runs in one transaction; they survive kill -9 once this returns."""
        rows = [
            record._replace(  # as SQLite returns them, for the SHA-256
                evaluations=float(record.evaluations),
                simulated_seconds=float(record.simulated_seconds),
                wall_seconds=float(record.wall_seconds),
            )
            for record in records
        ]
        with self._explained(), self._transaction():
            self._insert("runs", rows)

    def seeds(self, unit: str) -> set[int]:
        """Return the seeds of a unit that are done."""
        query = "SELECT seed FROM runs WHERE unit = ?"
        with self._explained():
            return {seed for (seed,) in self._db.execute(query, (unit,))}

    def runs(self, unit: str) -> list[Record]:
        """Return the finished runs of a unit in seed order."""
        query = "SELECT * FROM runs WHERE unit = ? ORDER BY seed"
        with self._explained():
            return [Record(*row[:-1]) for row in self._db.execute(query, (unit,))]
