"""The search-quality gate: is the search what it was, and if not, is it worse?

Layer A compares golden traces, layer B the distribution of regret over paired seeds, layer C the
order of the methods. docs/gate.md says how to use it; results/gate_power/ what it can find.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nasbench_evo import algorithms
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.gate import layers as gate_layers
from nasbench_evo.gate import traces as gate_traces
from nasbench_evo.gate.baseline import Baseline
from nasbench_evo.gate.layers import Cell, Order
from nasbench_evo.gate.measured import Key, Measured
from nasbench_evo.gate.traces import TraceCheck
from nasbench_evo.suite import Entry, Suite, kind_of, rows

LEAST_SEEDS = 20  # with fewer no cell can reach the level of layer B
TUNED = "nb201"  # the preset that must beat random search


@dataclass(frozen=True)
class Outcome:
    """What the gate found; `passed` is its verdict."""

    suite: str
    seeds: int
    traces: list[TraceCheck]
    cells: list[Cell]
    orders: list[Order]
    allow_changed_traces: bool
    strict: bool

    @property
    def layers(self) -> dict[str, tuple[bool, str]]:
        """Whether each layer passes, and a sentence that says why."""
        changed = [t for t in self.traces if t.difference]
        inferior = [c for c in self.cells if c.verdict == "inferior"]
        unshown = [c for c in self.cells if c.verdict == "not shown"]
        failed = [o for o in self.orders if not o.passed]
        a = f"{sum(t.equal for t in self.traces)} of {sum(t.of for t in self.traces)} traces equal"
        if changed:
            first = changed[0]
            a += f"; behaviour changed, first: {first.label} on {first.dataset}, {first.difference}"
            a += " (allowed)" if self.allow_changed_traces else ""
        b = f"{len(inferior)} of {len(self.cells)} cells inferior, {len(unshown)} not shown"
        if inferior:
            b += f", first: {inferior[0].label} on {inferior[0].dataset}"
        c = f"{len(self.orders) - len(failed)} of {len(self.orders)} requirements hold"
        if failed:
            c += f", first that does not: {failed[0].requirement}"
        return {
            "A traces": (not changed or self.allow_changed_traces, a),
            "B distribution": (not inferior and not (self.strict and unshown), b),
            "C ordering": (not failed, c),
        }

    @property
    def passed(self) -> bool:
        """Whether all layers pass."""
        return all(passed for passed, _ in self.layers.values())

    @property
    def verdict(self) -> str:
        """One line."""
        failed = [f"{name}: {text}" for name, (passed, text) in self.layers.items() if not passed]
        n = f"{self.suite}, {self.seeds} seeds"
        if failed:
            return f"FAIL ({n}): {'; '.join(failed)}"
        return f"PASS ({n}): {'; '.join(text for _, text in self.layers.values())}"

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        return {
            "verdict": self.verdict,
            "passed": self.passed,
            "layers": {
                name: {"passed": passed, "summary": text}
                for name, (passed, text) in self.layers.items()
            },
            "traces": [dataclasses.asdict(t) for t in self.traces],
            "cells": [dataclasses.asdict(c) for c in self.cells],
            "orders": [dataclasses.asdict(o) for o in self.orders],
        }


def judge(
    baseline: Baseline,
    measured: Mapping[Key, Measured],
    *,
    suite: str,
    own: Sequence[str] = (),
    allow_changed_traces: bool = False,
    strict: bool = False,
) -> Outcome:
    """Judge what was measured against a baseline of the same units.

    Presets called nb201 and every preset of the algorithms `own` must beat random search. With
    `strict` a cell whose non-inferiority is not shown fails layer B. Raises InputError if the
    suite has no random search or regularized evolution.
    """
    samples = {key: m.sample for key, m in measured.items()}
    cells = gate_layers.distribution(baseline, measured, samples)
    must_beat = tuned(measured, own)
    return Outcome(
        suite=suite,
        seeds=max(cell.n for cell in cells),
        traces=gate_traces.check(baseline, measured),
        cells=cells,
        orders=[
            *gate_layers.ordering(measured, must_beat),
            *gate_layers.initial_only(baseline, measured),
        ],
        allow_changed_traces=allow_changed_traces,
        strict=strict,
    )


def tuned(measured: Mapping[Key, Measured], own: Sequence[str] = ()) -> list[str]:
    """Return the labels of the rows that must beat random search."""
    labels = {
        m.unit.row.label: None
        for m in measured.values()
        if m.unit.row.setting == TUNED or m.unit.row.algorithm in own
    }
    return list(labels)


def prepared(suite: Suite, seeds: int, own: Sequence[str] = ()) -> Suite:
    """Return the suite that the gate runs.

    With algorithms of the user's `own` it holds these, in all their presets, and the two rows that
    the gate measures by. Raises InputError for too few seeds or an unknown algorithm, Unsupported
    for a suite that trains.
    """
    if kind_of(suite).trains:
        raise Unsupported(
            f"The gate judges searches on a table; {suite.name} trains. Give it a suite with "
            'evaluator = "lookup".'
        )
    if seeds < LEAST_SEEDS:
        raise InputError(f"The gate needs {LEAST_SEEDS} seeds or more to tell; got {seeds}.")
    entries = list(suite.rows)
    if own:
        references = ("random_search", "regularized_evolution")
        entries = [Entry(algorithm=name) for name in references]
        for name in own:
            presets = algorithms.get(name).presets
            entries += [Entry(algorithm=name, preset=preset) for preset in presets]
    chosen = suite.model_copy(update={"seeds": seeds, "rows": entries})
    rows(chosen)  # a row that is there twice fails here
    return chosen
