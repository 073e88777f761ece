"""Makes store_layout_1.sqlite: the runs of a small suite in the first layout of the store.

It is kept to show that stores of that layout, whose rows had no SHA-256, still open. Run it only
where the file is lost: `python tests/faults/earlier/make_store_layout_1.py`.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from nasbench_evo import suite as suites
from nasbench_evo.engines import Task, execute
from nasbench_evo.files import canonical

FILE = Path(__file__).with_name("store_layout_1.sqlite")
SUITE = {
    "name": "earlier",
    "datasets": ["cifar10"],
    "seeds": 3,
    "evaluations": 20,
    "checkpoints": [20],
    "rows": [{"algorithm": "random_search"}, {"algorithm": "genetic_nas", "preset": "nb201"}],
}
SCHEMA = """
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


def make(file: Path) -> None:
    """Write the store of `SUITE` in the first layout."""
    suite = suites.Suite.model_validate(json.loads(json.dumps(SUITE)))
    file.unlink(missing_ok=True)
    db = sqlite3.connect(file)
    db.executescript(f"PRAGMA journal_mode = WAL; {SCHEMA}")
    meta = {"result_format": "1", "suite": suites.identity(suite), "seeds": str(suite.seeds)}
    db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
    for unit in suites.units(suite):
        key = unit.key()
        db.execute("INSERT INTO units VALUES (?, ?)", (key, canonical(unit.describe())))
        records = execute(Task(unit, key, tuple(range(suite.seeds)))).records
        db.executemany("INSERT INTO runs VALUES (?,?,?,?,?,?,?,?,?)", records)
    db.commit()
    db.close()


if __name__ == "__main__":
    make(FILE)
