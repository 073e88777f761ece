"""Lookup tables: benchmark results as arrays."""

from __future__ import annotations

from nasbench_evo.errors import unknown
from nasbench_evo.tables import embedded
from nasbench_evo.tables.table import Table

TABLES = {embedded.NAME: embedded.load}


def load(name: str = embedded.NAME) -> Table:
    """Return the table called `name`; raise InputError with the near miss if there is none."""
    if name not in TABLES:
        raise unknown("table", name, TABLES)
    return TABLES[name]()


__all__ = ["TABLES", "Table", "load"]
