"""A suite: a TOML file that says which searches to run, and the runs that it stands for."""

from __future__ import annotations

from nasbench_evo.suite.files import PUBLISHED, bundled_folders, find, load, require_table
from nasbench_evo.suite.model import Entry, Suite
from nasbench_evo.suite.units import Row, Unit, identity, lookup, rows, search_epochs, sha256, units

__all__ = [
    "PUBLISHED",
    "Entry",
    "Row",
    "Suite",
    "Unit",
    "bundled_folders",
    "find",
    "identity",
    "load",
    "lookup",
    "require_table",
    "rows",
    "search_epochs",
    "sha256",
    "units",
]
