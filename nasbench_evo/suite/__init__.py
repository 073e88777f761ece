"""A suite: a TOML file that says which searches to run, and the runs that it stands for."""

from __future__ import annotations

from nasbench_evo.suite.files import (
    CLAIMS,
    PUBLISHED,
    bundled,
    bundled_as,
    bundled_file,
    bundled_folders,
    find,
    load,
    to_toml,
)
from nasbench_evo.suite.kinds import (
    identified,
    identity,
    name_objective,
    objective_options,
    require_table,
    sha256,
    table_of,
    units,
)
from nasbench_evo.suite.kinds import of as kind_of
from nasbench_evo.suite.model import Entry, Suite
from nasbench_evo.suite.units import (
    Row,
    Unit,
    change_text,
    lookup,
    named,
    resolved,
    rows,
    search_epochs,
)

__all__ = [
    "CLAIMS",
    "PUBLISHED",
    "Entry",
    "Row",
    "Suite",
    "Unit",
    "bundled",
    "bundled_as",
    "bundled_file",
    "bundled_folders",
    "change_text",
    "find",
    "identified",
    "identity",
    "kind_of",
    "load",
    "lookup",
    "name_objective",
    "named",
    "objective_options",
    "require_table",
    "resolved",
    "rows",
    "search_epochs",
    "sha256",
    "table_of",
    "to_toml",
    "units",
]
