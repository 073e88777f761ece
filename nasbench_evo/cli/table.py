"""`nasbench-evo table`: look into the lookup table."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from nasbench_evo.cli.console import out

app = typer.Typer(help="Look into the lookup table.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def info(as_json: AsJson = False) -> None:
    """Say what the table has and has not, and check its source files."""
    from nasbench_evo import tables
    from nasbench_evo.tables import embedded

    sources = embedded.verify_sources()
    table = tables.load()
    space = table.space
    content: dict[str, Any] = {
        "name": table.name,
        "label": table.label,
        "sha256": table.sha256,
        "genotypes": table.correct.shape[1],
        "sources": str(sources),
        "cache": str(embedded.cache_file()),
        "has_losses": table.valid_loss is not None,
        "has_test_accuracy": table.test_accuracy is not None,
        "has_learning_curves": table.valid_curve is not None,
        "datasets": {},
    }
    for d, dataset in enumerate(table.datasets):
        content["datasets"][dataset] = {
            "validation_images": table.images[d],
            "cells_with_2_trials": int((table.trials[d] == 2).sum()),
            "cells_with_3_trials": int((table.trials[d] == 3).sum()),
            "best_mean_accuracy": float(table.best[d]),
            "best_arch": space.format(space.from_index(int(table.mean_accuracy[d].argmax()))),
            "mean_train_seconds": float(table.train_seconds[d].mean()),
        }
    if as_json:
        out(json.dumps(content, indent=1))
        return
    datasets = content.pop("datasets")
    _print(content)
    for dataset, facts in datasets.items():
        out(f"\n{dataset}")
        _print(facts, indent="  ")


@app.command()
def query(
    arch: Annotated[
        str,
        typer.Argument(
            help="A cell: the published string, six operation digits (333103), or an index (#123)."
        ),
    ],
    dataset: Annotated[str | None, typer.Option(help="One data set only.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what the table knows of a cell: trials, mean, regret, rank, size, cost."""
    from nasbench_evo import tables

    table = tables.load()
    space = table.space
    genotype = space.parse(arch)
    index = space.index(genotype)
    rows = [table.row(dataset)] if dataset else range(len(table.datasets))
    content: dict[str, Any] = {
        "arch": space.format(genotype),
        "genotype": list(genotype),
        "index": index,
        "datasets": {},
    }
    for d in rows:
        present = table.present[d, index]
        content["datasets"][table.datasets[d]] = {
            "valid_accuracy": table.valid_accuracy[d, index][present].tolist(),
            "mean_accuracy": float(table.mean_accuracy[d, index]),
            "regret": table.regret(table.datasets[d], genotype),
            "rank": table.rank(table.datasets[d], genotype),
            "parameters": int(table.parameters[d, index]),
            "latency_seconds": float(table.latency_seconds[d, index]),
            "train_seconds": float(table.train_seconds[d, index]),
        }
    if as_json:
        out(json.dumps(content, indent=1))
        return
    out(f"{content['arch']}\nindex {index}, digits {''.join(map(str, genotype))}")
    out(space.draw(genotype))
    for name, facts in content["datasets"].items():
        out(f"\n{name}")
        _print(facts, indent="  ")


def _print(content: dict[str, Any], indent: str = "") -> None:
    """Print keys and values in two columns, units in the key."""
    width = max(map(len, content))
    for key, value in content.items():
        if isinstance(value, list):
            value = ", ".join(f"{v:.3f}" for v in value)
        elif isinstance(value, float):
            value = f"{value:.4f}"
        out(f"{indent}{key.replace('_', ' '):<{width}}  {value}")
