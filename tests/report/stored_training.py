"""Small results folders of suites that train, made in this process; they need torch."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from nasbench_evo.cli import app

STANDALONE = """
name = "tiny_trainings"
description = "Four trainings a run."
evaluator = "standalone"
datasets = ["digits"]
seeds = 2
evaluations = 4
checkpoints = [2, 4]
[evaluator_set]
epochs = 1
channels = 4
cells = 1
train_size = 40
batch_size = 20
report_trials = 2
[[rows]]
algorithm = "random_search"
[[rows]]
algorithm = "eigen"
set = { population_size = 2, patience = 2 }
"""
SUPERNET = """
name = "tiny_supernet"
description = "Two epochs of shared weights."
evaluator = "supernet"
space = "nasbench201"
datasets = ["digits"]
seeds = 2
truth = { table = "nasbench201", dataset = "cifar10" }
rank_correlation = { cells = 12, every = 1 }
[evaluator_set]
train_size = 60
batch_size = 20
lr = 0.05
channels = 2
cells = 1
recalibration_size = 32
[final_set]
train_size = 60
batch_size = 20
epochs = 1
channels = 2
cells = 1
[[rows]]
algorithm = "genetic_nas"
set = { epochs = 2, generation_size = 4, population_size = 3 }
[[rows]]
algorithm = "genetic_nas"
set = { epochs = 2, generation_size = 4, population_size = 3 }
evaluator = "lookup"
[[rows]]
algorithm = "eg_nas"
set = { epochs = 2, warmup = 1, samples = 1, population_size = 4 }
"""


def make(folder: Path, text: str) -> Path:
    """Run a suite into folder/results; return that results folder."""
    file = folder / "suite.toml"
    file.write_text(text)
    target = folder / "results"
    done = CliRunner().invoke(
        app, ["run", str(file), "--engine", "serial", "--out", str(target)], catch_exceptions=False
    )
    if done.exit_code:
        raise RuntimeError(done.output)
    return target
