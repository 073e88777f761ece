"""The kinds of suite, by the evaluator that a suite names; `OWN` is of package.module:Class."""

from __future__ import annotations

from nasbench_evo.results.kind import Findings, Kind
from nasbench_evo.results.objective import OnObjective
from nasbench_evo.results.on_table import OnTable
from nasbench_evo.results.supernet import Supernet
from nasbench_evo.results.trained import Standalone
from nasbench_evo.suite import Suite

OWN = OnObjective()
KINDS: dict[str, Kind] = {kind.name: kind for kind in (OnTable(), Standalone(), Supernet())}

__all__ = ["KINDS", "Findings", "Kind", "of"]


def of(suite: Suite) -> Kind:
    """Return the kind of a suite."""
    return OWN if suite.own else KINDS[suite.evaluator]
