"""The search-quality gate: is the search what it was, and if not, is it worse?

Layer A compares traces, layer B distributions over paired seeds, layer C the order of the methods
and what is known of them, layer D the figures that people read. docs/gate.md says how to use it;
results/gate_power/ what it can find.
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
from nasbench_evo.gate.layers import FAILING, Cell, Order
from nasbench_evo.gate.measured import Key, Measured
from nasbench_evo.gate.summary import NOT_ASKED, SummaryCheck
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
    summary: SummaryCheck

    @property
    def layers(self) -> dict[str, tuple[bool, str]]:
        """Whether each layer passes, and a sentence that says why."""
        return {
            "A traces": self._traces(),
            "B distribution": self._distribution(),
            "C ordering": self._ordering(),
            "D summary": self._summary(),
        }

    @property
    def behaviour_changed(self) -> bool:
        """Whether layer A found a difference."""
        return any(check.difference for check in self.traces)

    @property
    def failing_cells(self) -> list[Cell]:
        """The cells for which layer B fails."""
        return [
            c
            for c in self.cells
            if c.verdict in FAILING
            or (c.changed and not self.allow_changed_traces)
            or (self.strict and c.verdict == "not shown")
        ]

    def _traces(self) -> tuple[bool, str]:
        text = f"{sum(t.equal for t in self.traces)} of {sum(t.of for t in self.traces)} runs equal"
        changed = [t for t in self.traces if t.difference]
        if changed:
            first = changed[0]
            text += f"; behaviour changed, first: {first.label} on {first.dataset}, "
            text += f"{first.difference}{' (allowed)' if self.allow_changed_traces else ''}"
        return not changed or self.allow_changed_traces, text

    def _distribution(self) -> tuple[bool, str]:
        unshown = [c for c in self.cells if c.verdict == "not shown"]
        wrong = [c for c in self.cells if c.verdict in FAILING]
        changed = [c for c in self.cells if c.changed and not self.allow_changed_traces]
        text = f"{len(wrong)} of {len(self.cells)} cells another search"
        text += f", {len(changed)} changed, {len(unshown)} not shown"
        if first := next(iter([*wrong, *changed]), None):
            text += f", first: {first.label} on {first.dataset} is {first.verdict}"
        return not self.failing_cells, text

    def _ordering(self) -> tuple[bool, str]:
        failed = [o for o in self.orders if not o.passed]
        text = f"{len(self.orders) - len(failed)} of {len(self.orders)} requirements hold"
        if failed:
            text += f", first that does not: {failed[0].requirement}"
        return not failed, text

    def _summary(self) -> tuple[bool, str]:
        found = self.summary
        if found.skipped is not None:
            return True, f"not compared with {found.file}: {found.skipped}"
        allowed = self.allow_changed_traces and self.behaviour_changed
        text = f"{found.figures} figures of {found.file} made again"
        if found.differences:
            text += f", {len(found.differences)} differ{' (allowed)' if allowed else ''}, first: "
            text += found.differences[0]
        return not found.differences or allowed, text

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
            "summary": dataclasses.asdict(self.summary),
        }


def judge(
    baseline: Baseline,
    measured: Mapping[Key, Measured],
    *,
    suite: str,
    own: Sequence[str] = (),
    allow_changed_traces: bool = False,
    strict: bool = False,
    summary: SummaryCheck | None = None,
) -> Outcome:
    """Judge what was measured against a baseline of the same units.

    Presets called nb201 and every preset of the algorithms `own` must beat random search. With
    `strict` a cell whose non-inferiority is not shown fails layer B. `summary` is what layer D
    found, where it was asked for. Raises InputError if the suite has no random search or
    regularized evolution.
    """
    samples = {key: m.sample for key, m in measured.items()}
    cells = gate_layers.distribution(baseline, measured, samples)
    return Outcome(
        suite=suite,
        seeds=max(cell.n for cell in cells),
        traces=gate_traces.check(baseline, measured),
        cells=cells,
        orders=orders(baseline, measured, own),
        allow_changed_traces=allow_changed_traces,
        strict=strict,
        summary=summary or NOT_ASKED,
    )


def orders(
    baseline: Baseline, measured: Mapping[Key, Measured], own: Sequence[str] = ()
) -> list[Order]:
    """Return layer C: the order of the methods, and what is known of them."""
    searched = gate_layers.own(measured)
    return [
        *gate_layers.ordering(searched, tuned(measured, own)),
        gate_layers.repeated(measured),
        *gate_layers.known_answers(measured),
        *gate_layers.initial_only(baseline, searched),
    ]


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
    if not kind_of(suite).reads_table:
        raise Unsupported(
            f"The gate judges searches on a table; {suite.name} reads none. Give it a suite with "
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
