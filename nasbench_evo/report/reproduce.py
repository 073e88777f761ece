"""The commands that make a folder's runs and its report again."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from nasbench_evo import suite as suites
from nasbench_evo.external import is_outside
from nasbench_evo.suite import Suite


class Again(NamedTuple):
    """How to repeat a suite: its file, where the package does not bring it, and the commands."""

    commands: tuple[str, ...]
    file: str  # name of the suite file to save first; empty for a bundled suite
    toml: str  # its content
    modules: tuple[str, ...]  # of other people's code that must be importable


def again(suite: Suite, *, devices: bool) -> Again:
    """Return what to do. The results go to a folder of their own: nothing is overwritten."""
    name = suites.bundled_as(suite)
    file = "" if name else f"{suite.name}.toml"
    folder = f"{suite.name}-again"
    words = ["nasbench-evo", "run", name or file, "--seeds", f"{suite.seeds}"]
    words += ["--devices", ",".join(suite.devices)] if devices else []
    report = ["nasbench-evo", "report", folder]
    return Again(
        commands=(shlex.join([*words, "--out", folder]), shlex.join(report)),
        file=file,
        toml="" if name else suites.to_toml(suite),
        modules=_modules(suite),
    )


def _modules(suite: Suite) -> tuple[str, ...]:
    names = [suite.evaluator, suite.space, *(row.algorithm for row in suite.rows)]
    return tuple(dict.fromkeys(name.partition(":")[0] for name in names if is_outside(name)))
