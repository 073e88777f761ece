"""The gate's baseline on disk: small JSON with exact integers and the manifest of what made it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_evo import tables
from nasbench_evo.errors import DataError, InputError
from nasbench_evo.files import canonical, digest, write_json
from nasbench_evo.gate import cells as gate_cells
from nasbench_evo.gate.measured import MEASURES, Integers, Key, Measured, Sample, Trace
from nasbench_evo.store import RESULT_FORMAT
from nasbench_evo.suite import Suite

FORMAT = 2  # of the baseline file
_DIGITS = 4  # kept of each seed's trace hash: it says which seeds changed
_ACCEPT = "Record a new one with: {command} --accept"


@dataclass(frozen=True)
class Entry:
    """What is known of one unit.

    `hashes` are the first hex digits of each seed's trace hash, `sha256` is that of all the whole
    hashes in seed order.
    """

    hyperparameters: Mapping[str, Any]
    sample: Sample
    traces: tuple[Trace, ...]
    hashes: tuple[str, ...] = ()
    sha256: str = ""


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
        key: Entry(
            m.unit.row.configured.identity(),
            m.sample,
            m.traces,
            short(m.hashes),
            digest(m.hashes),
        )
        for key, m in measured.items()
    }
    return Baseline(manifest, entries)


def bundled(suite: str) -> Path | None:
    """Return the baseline of a suite that comes with the package or its source checkout, if any."""
    package = Path(__file__).parents[1]
    folders = (package / "bundled_baselines", package.parent / "results" / "baselines")
    files = (folder / f"{suite}.json" for folder in folders)
    return next((file for file in files if file.is_file()), None)


def short(hashes: Sequence[str]) -> tuple[str, ...]:
    """Return what a baseline keeps of each seed's trace hash."""
    return tuple(text[:_DIGITS] for text in hashes)


def save(baseline: Baseline, path: Path) -> None:
    """Write a baseline; raise InputError if the place cannot be written."""
    content: dict[str, Any] = {}
    for (label, dataset), entry in baseline.entries.items():
        content.setdefault(dataset, {})[label] = {
            "hyperparameters": canonical(entry.hyperparameters),
            **{
                measure: _text(values)
                for measure in MEASURES
                if len(values := getattr(entry.sample, measure))
            },
            "hashes": "".join(entry.hashes),
            "sha256": entry.sha256,
            "traces": [
                f"{t.seed} {t.sha256} {','.join(map(str, t.first))} {','.join(t.prefixes)}"
                for t in entry.traces
            ],
        }
    text = {
        "format": FORMAT,
        "manifest": baseline.manifest,
        "cells_sha256": digest(content),
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
        if content["cells_sha256"] != digest(content["cells"]):
            raise ValueError("its content does not have the SHA-256 that it states")
        baseline = Baseline(content["manifest"], _entries(content["cells"]))
        for (label, dataset), entry in baseline.entries.items():
            if not 0 < len(entry.sample.final) <= baseline.seeds:
                raise ValueError(f"{label} on {dataset} has not 1 to {baseline.seeds} seeds")
            if len(entry.hashes) != len(entry.sample.final):
                raise ValueError(f"{label} on {dataset} lacks hashes of traces")
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
            Sample(**{m: _integers(cell[m]) for m in MEASURES if m in cell}),
            tuple(_trace(line) for line in cell["traces"]),
            tuple(textwrap.wrap(cell["hashes"], _DIGITS)),
            cell["sha256"],
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
    here = {(unit.row.label, unit.dataset) for unit in gate_cells.units(suite)}
    for text, keys in (
        ("The baseline lacks", here - set(baseline.entries)),
        ("Only the baseline has", set(baseline.entries) - here),
    ):
        if keys:
            names = "; ".join(f"{label} on {dataset}" for label, dataset in sorted(keys))
            raise InputError(f"{text}: {names}. {accept}")
