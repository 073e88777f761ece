"""A small results folder, made in this process."""

from __future__ import annotations

from pathlib import Path

from nasbench_evo import execution, suite
from nasbench_evo.results import kinds, manifest
from nasbench_evo.results.runs import collect

TEXT = """
name = "{name}"
description = "{description}"
datasets = ["cifar10", "cifar100"]
seeds = 12
evaluations = 130
checkpoints = [30, 130]
[[rows]]
algorithm = "random_search"
[[rows]]
algorithm = "eigen"
set = {{ patience = 1000 }}
[rows.grid]
primary_step = [2, 100]
[[rows]]
algorithm = "genetic_cnn"
[rows.grid]
population_size = [5, 20]
q_mutation = [0.05, 0.3]
"""


def make(folder: Path, name: str = "small", description: str = "A small ablation.") -> Path:
    """Run a small suite into folder/name; return that results folder."""
    file = folder / "suite.toml"
    file.write_text(TEXT.format(name=name, description=description))
    return run(suite.load(file), folder / name)


def run(chosen: suite.Suite, target: Path) -> Path:
    with execution.opened(chosen, target) as store:
        work = execution.plan(chosen, store)
        execution.execute(work, store, engine="serial", workers=1, progress=lambda n: None)
        collected = collect(chosen, store)
    kind = kinds.of(chosen)
    found = kind.find(chosen, collected)
    manifest.write_summary(target, found.rows, kind.summary(found))
    manifest.write_manifest(target, manifest.manifest(chosen, runs=1, failed=0, seconds=1.0))
    return target
