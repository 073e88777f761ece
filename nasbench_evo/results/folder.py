"""A results folder read back: its suite, its runs, its summary and its provenance."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nasbench_evo.claim import read_by_name
from nasbench_evo.errors import DataError, InputError
from nasbench_evo.execution import MANIFEST
from nasbench_evo.results import kinds
from nasbench_evo.results.kinds import Findings, Kind
from nasbench_evo.results.measures import Measured
from nasbench_evo.results.runs import UnitRuns, collect
from nasbench_evo.store import FILE, RESULT_FORMAT, Store
from nasbench_evo.suite import Suite, bundled_folders, load
from nasbench_evo.suite import identity as suite_identity


@dataclass(frozen=True)
class Stored:
    """The content of a results folder; nothing is run to read it."""

    folder: Path
    suite: Suite
    collected: list[UnitRuns]
    summary: dict[str, Any]  # summary.json; empty where it is not there
    manifest: dict[str, Any]  # manifest.json; empty where it is not there
    call: str = ""  # the Python that made it, where no suite was run

    @property
    def kind(self) -> Kind:
        """The kind of the suite."""
        return kinds.of(self.suite)

    @cached_property
    def found(self) -> Findings:
        """What the runs say: the rows of the result table, and comparisons."""
        return self.kind.find(self.suite, self.collected)

    @cached_property
    def measures(self) -> list[Measured]:
        """What is known of every single run, as runs.json holds it."""
        return self.kind.measures(self.found)


def read(folder: Path) -> Stored:
    """Return what a results folder holds.

    Nothing that it names is imported: algorithms of other people's code are read by name, unless
    their modules are imported already.

    Raises InputError where there are no stored runs, DataError where they cannot be read or are
    of another result format.
    """
    if not (folder / FILE).is_file():
        raise InputError(
            f"{folder} has no {FILE}: expected the results folder of a suite. Runs are not kept in "
            "version control; make them with: nasbench-evo run SUITE."
        )
    with Store(folder) as store:
        stored_format = store.get_meta("result_format")
        if stored_format != str(RESULT_FORMAT):
            raise DataError(
                f"{folder} holds results of format {stored_format}; this version reads "
                f"{RESULT_FORMAT}. Repeat the suite with --fresh."
            )
        identity, seeds = store.get_meta("suite"), store.get_meta("seeds")
        if identity is None or seeds is None:
            raise DataError(f"{folder} does not say which suite it is of. Repeat it with --fresh.")
        summary = _json(folder / "summary.json")
        suite = _suite(folder, identity, int(seeds), str(summary.get("description", "")))
        manifest = _json(folder / MANIFEST)
        if "devices" in manifest:  # those that the runs were made on
            suite = suite.model_copy(update={"devices": manifest["devices"]})
        read_by_name(suite, store)
        collected = collect(suite, store)
    if not any(runs.records for runs in collected):
        raise InputError(f"{folder} holds no finished run of {suite.name}. Run the suite first.")
    return Stored(folder, suite, collected, summary, manifest)


def _suite(folder: Path, identity: str, seeds: int, description: str) -> Suite:
    for path in (place / f"{json.loads(identity)['name']}.toml" for place in bundled_folders()):
        if path.is_file():
            bundled = load(path)  # the stored text has lost the order of grids
            if suite_identity(bundled) == identity:
                return bundled.model_copy(update={"seeds": seeds})
    try:
        content = {**json.loads(identity), "seeds": seeds, "description": description}
        return Suite.model_validate(content)
    except (ValueError, ValidationError, RecursionError) as error:
        raise DataError(f"{folder} names a suite that cannot be read: {error}.") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (ValueError, OSError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}. Run the suite again.") from error
    return content if isinstance(content, dict) else {}
