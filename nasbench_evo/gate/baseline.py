"""The gate's baseline on disk: small JSON with exact integers and the manifest of what made it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_evo import tables
from nasbench_evo.errors import DataError, InputError
from nasbench_evo.files import canonical, digest, write_json
from nasbench_evo.gate.measured import Integers, Key, Measured, Sample, Trace
from nasbench_evo.store import RESULT_FORMAT
from nasbench_evo.suite import Suite, units

FORMAT = 1  # of the baseline file
_ACCEPT = "Record a new one with: {command} --accept"


@dataclass(frozen=True)
class Entry:
    """What is known of one unit."""

    hyperparameters: Mapping[str, Any]
    sample: Sample
    traces: tuple[Trace, ...]


@dataclass(frozen=True)
class Baseline:
    """The accepted behaviour of a suite's rows, and what made it."""

    manifest: Mapping[str, Any]
    entries: Mapping[Key, Entry]

    @property
    def seeds(self) -> int:
        """Runs of each unit."""
        return int(self.manifest["seeds"])


def of(measured: Mapping[Key, Measured], manifest: Mapping[str, Any]) -> Baseline:
    """Return the baseline that accepts what was measured."""
    entries = {
        key: Entry(m.unit.row.configured.identity(), m.sample, m.traces)
        for key, m in measured.items()
    }
    return Baseline(manifest, entries)


def save(baseline: Baseline, path: Path) -> None:
    """Write a baseline; raise InputError if the place cannot be written."""
    content: dict[str, Any] = {}
    for (label, dataset), entry in baseline.entries.items():
        content.setdefault(dataset, {})[label] = {
            "hyperparameters": canonical(entry.hyperparameters),
            "final": _text(entry.sample.final),
            "area": _text(entry.sample.area),
            "traces": [
                f"{t.seed} {t.sha256} {','.join(map(str, t.first))} {','.join(t.prefixes)}"
                for t in entry.traces
            ],
        }
    text = {
        "format": FORMAT,
        "manifest": baseline.manifest,
        "cells_sha256": _hash(content),
        "cells": content,
    }
    try:
        write_json(path, text)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror}. Choose another.") from error


def load(path: Path, command: str) -> Baseline:
    """Return a baseline; `command` is what to repeat with --accept to make a new one.

    Raises InputError if there is none or it has another format, DataError if it is damaged.
    """
    accept = _ACCEPT.format(command=command)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"There is no baseline {path}. {accept}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"Cannot read the baseline {path}: {error}. {accept}") from error
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise InputError(
                f"{path} is a baseline of format {content['format']}; this version reads "
                f"{FORMAT}. {accept}"
            )
        if content["cells_sha256"] != _hash(content["cells"]):
            raise ValueError("its content does not have the SHA-256 that it states")
        baseline = Baseline(content["manifest"], _entries(content["cells"]))
        if any(len(entry.sample.final) != baseline.seeds for entry in baseline.entries.values()):
            raise ValueError(f"not every row has the {baseline.seeds} seeds that it states")
        return baseline
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"The baseline {path} is damaged or edited ({error}). Restore it. {accept}"
        ) from error


def _entries(cells: Mapping[str, Mapping[str, Any]]) -> dict[Key, Entry]:
    return {
        (label, dataset): Entry(
            json.loads(cell["hyperparameters"]),
            Sample(_integers(cell["final"]), _integers(cell["area"])),
            tuple(_trace(line) for line in cell["traces"]),
        )
        for dataset, rows in cells.items()
        for label, cell in rows.items()
    }


def _trace(line: str) -> Trace:
    seed, sha256, first, prefixes = line.split(" ")
    return Trace(int(seed), sha256, tuple(map(int, first.split(","))), tuple(prefixes.split(",")))


def _text(values: Integers) -> str:
    return " ".join(map(str, values.tolist()))


def _integers(text: str) -> Integers:
    return np.array([int(value) for value in text.split(" ")], dtype=np.int64)


def _hash(cells: Any) -> str:
    return digest(cells)


def require(baseline: Baseline, suite: Suite, command: str) -> None:
    """Raise InputError unless the baseline is of this suite's question and table.

    Another table hash or result format, another budget, other seeds, and rows that only one of
    the two has are refused, each with what was expected.
    """
    accept = _ACCEPT.format(command=command)
    expected = {
        "result_format": RESULT_FORMAT,
        "table_sha256": tables.load(suite.table).sha256,
        "evaluations": suite.evaluations,
        "simulated_seconds": suite.simulated_seconds,
        "first_seed": suite.first_seed,
    }
    for name, value in expected.items():
        if baseline.manifest.get(name) != value:
            raise InputError(
                f"The baseline was made with {name} {baseline.manifest.get(name)}; this is "
                f"{value}: they cannot be compared. {accept}"
            )
    if suite.seeds > baseline.seeds:
        raise InputError(
            f"The baseline has {baseline.seeds} seeds; {suite.seeds} were asked for. Use "
            f"--seeds {baseline.seeds} or fewer."
        )
    here = {(unit.row.label, unit.dataset) for unit in units(suite)}
    for text, keys in (
        ("The baseline lacks", here - set(baseline.entries)),
        ("Only the baseline has", set(baseline.entries) - here),
    ):
        if keys:
            names = "; ".join(f"{label} on {dataset}" for label, dataset in sorted(keys))
            raise InputError(f"{text}: {names}. {accept}")
