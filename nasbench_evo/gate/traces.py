"""Layer A of the gate: the traces of all seeds. Any difference is a change of behaviour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nasbench_evo import tables
from nasbench_evo.files import digest
from nasbench_evo.gate.baseline import Baseline, Entry, short
from nasbench_evo.gate.measured import BLOCK, Key, Measured, Trace


@dataclass(frozen=True)
class TraceCheck:
    """Layer A for one unit: how many of its seeds have the trace that they had.

    `difference` says where the first changed trace departs.
    """

    label: str
    dataset: str
    equal: int
    of: int
    difference: str | None


def check(baseline: Baseline, measured: Mapping[Key, Measured]) -> list[TraceCheck]:
    """Return every unit's golden traces beside the measured ones."""
    return [_check(baseline.entries[key], m) for key, m in measured.items()]


def _check(entry: Entry, measured: Measured) -> TraceCheck:
    label, dataset = measured.key
    space = tables.load(measured.unit.table).space

    def show(index: int) -> str:
        return "".join(map(str, space.from_index(index)))

    differences = []
    pairs = zip(entry.traces, measured.traces, strict=False)
    for (old, now), engine_hash in zip(pairs, measured.hashes, strict=False):
        if now.sha256 != engine_hash:
            text = "another trace in another process: randomness from outside its stream"
            differences.append(f"seed {now.seed}: {text}")
        elif now != old:
            differences.append(f"seed {now.seed}: {departure(old, now, show)}")
    n = len(measured.hashes)
    same = unchanged(entry, measured)
    changed = [measured.first_seed + i for i, ok in enumerate(same) if not ok]
    if changed and not differences:
        more = f" and {len(changed) - 1} others" if len(changed) > 1 else ""
        differences.append(f"seed {changed[0]}{more} of {n}: another trace")
    if not changed and n == len(entry.hashes) and digest(measured.hashes) != entry.sha256:
        differences.append("the traces of all seeds together have another SHA-256")
    if not differences:
        return TraceCheck(label, dataset, n, n, None)
    changes = _changes(entry.hyperparameters, measured.unit.row.configured.identity())
    return TraceCheck(label, dataset, n - len(changed), n, differences[0] + changes)


def unchanged(entry: Entry, measured: Measured) -> list[bool]:
    """Return for each measured seed whether its trace is the baseline's."""
    return [a == b for a, b in zip(entry.hashes, short(measured.hashes), strict=False)]


def _changes(old: Mapping[str, object], new: Mapping[str, object]) -> str:
    changed = [
        f"{name} {old.get(name)} -> {new.get(name)}"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]
    return f" (hyper-parameters: {', '.join(changed)})" if changed else ""


def departure(old: Trace, now: Trace, show: Callable[[int], str]) -> str:
    """Return where two traces of a seed part, as closely as the golden one tells."""
    for i, (a, b) in enumerate(zip(old.first, now.first, strict=False)):
        if a != b:
            return f"evaluation {i + 1} is {show(b)} instead of {show(a)}"
    for k, (x, y) in enumerate(zip(old.prefixes, now.prefixes, strict=False)):
        if x != y:
            low, high = max(k * BLOCK, len(old.first)) + 1, (k + 1) * BLOCK
            return f"the first other genotype is among evaluations {low}-{high}"
    if len(old.prefixes) != len(now.prefixes):
        return "another number of evaluations"
    return "the same genotypes with other accuracies or fractions"
