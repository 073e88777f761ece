"""`nasbench-evo table`: look into the lookup tables, and bring one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_evo.cli.console import out, say, share
from nasbench_evo.cli.spelled import Index, Spelling

if TYPE_CHECKING:
    from nasbench_evo.tables import Table

EMBEDDED = "nasbench201"
app = typer.Typer(help="Look into the lookup tables, or import one.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="A table; see `nasbench-evo table list`.")]
Epochs = Annotated[int | None, typer.Option(help="Length of training (default: the longest).")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the tables: the embedded one and those imported."""
    from nasbench_evo import tables
    from nasbench_evo.tables import imported

    content = {
        name: "embedded" if name in tables.EMBEDDED else str(imported.path_of(name))
        for name in tables.known()
    }
    if as_json:
        out(json.dumps(content, indent=1))
        return
    _print(content)


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="Official file or folder; .csv, .parquet, .json.")],
    name: Annotated[str, typer.Option(help="What to call the table.")],
    via: Annotated[
        str | None, typer.Option(help="Read through a package instead: nas-bench-201.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a table there.")] = False,
    column: Annotated[
        list[str] | None,
        typer.Option(help="What a column is: --column valid=acc; test, seconds, latency ..."),
    ] = None,
    scale: Annotated[
        str | None, typer.Option(help="Of the accuracies: percent or fraction.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Data set of a table without such a column.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Length of training, likewise.")] = None,
    space: Annotated[
        Path | None, typer.Option(help="space.toml of a table of another space.")
    ] = None,
    missing: Annotated[
        str | None,
        typer.Option(help="What a search gets where there is no result: error or infeasible."),
    ] = None,
    onto: Annotated[
        str | None,
        typer.Option(help="Of HW-NAS-Bench: the table that gets its costs (default nasbench201)."),
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="Of TransNAS-Bench-101: micro (default) or macro.")
    ] = None,
    spelling: Spelling = None,
    index: Index = None,
) -> None:
    """Import an official benchmark file or folder, or a table of your own.

    Nothing in a file is ever run. An interrupted import leaves no trace: start it again.
    """
    from nasbench_evo.errors import unknown
    from nasbench_evo.tables import imported
    from nasbench_evo.tables import verify as verify_
    from nasbench_evo.tables.importing import columns
    from nasbench_evo.tables.importing.columns import Reading

    reading = Reading(columns.named(column or []), scale, dataset, epochs, spelling, index)
    if scale is not None and scale not in columns.SCALES:
        raise unknown("scale", scale, columns.SCALES)
    with share(f"import {path.name}") as report:
        file = imported.import_path(
            path,
            name,
            progress=report,
            replace=replace,
            via=via,
            say=say,
            reading=reading,
            space=space,
            missing=missing,
            onto=onto,
            part=part,
        )
    source = imported.open_file(name).fields["source"]
    if "md5" in source:
        known = source["known_as"] or "not among the known published files"
        say(f"MD5 {source['md5']}: {known}")
    for warning in verify_.warnings(name):
        say(f"WARNING: {warning}.")
    say(f"Imported as {name} ({file.stat().st_size / 1e6:.0f} MB): {file}")
    info(name)


@app.command()
def info(name: Name = EMBEDDED, as_json: AsJson = False) -> None:
    """Say what a table has and has not, and check its source files."""
    from nasbench_evo import tables

    table = tables.load(name)
    content: dict[str, Any] = {
        "name": table.name,
        "label": table.label,
        "sha256": table.sha256,
        "genotypes": table.correct.shape[1],
        "epochs": table.epochs,
        "space": table.space.name,
        "metric": {**table.metric.to_json(), "direction": table.metric.direction},
        **(_embedded(name) if name in tables.EMBEDDED else _imported(name)),
        "has_losses": table.valid_loss is not None,
        "has_test_accuracy": table.test_accuracy is not None,
        "has_learning_curves": table.valid_curve is not None,
        "has_validation_times": table.valid_seconds is not None,
        "has_flops": table.flops is not None,
        "metrics": list(table.metrics),
        "missing_is": "infeasible" if table.infeasible else "an error",
        "datasets": {dataset: _describe(table, dataset) for dataset in table.datasets},
    }
    if as_json:
        out(json.dumps(content, indent=1))
        return
    datasets = content.pop("datasets")
    parts = content.pop("splits", {})
    _print(content)
    for dataset, facts in datasets.items():
        out(f"\n{dataset}")
        _print(facts, indent="  ")
    for epochs, trainings in parts.items():
        out(f"\ntrainings of {epochs} epochs")
        for training, known in trainings.items():
            _print({f"{training}, {split}": text for split, text in known.items()}, indent="  ")


def _embedded(name: str) -> dict[str, Any]:
    from nasbench_evo.tables import embedded, hpo

    if name in hpo.BENCHMARKS:
        cache = hpo.cache_file(hpo.BENCHMARKS[name])
        return {"sources": str(hpo.verify_sources(name)), "cache": str(cache)}
    return {
        "sources": str(embedded.verify_sources()),
        "cache": str(embedded.cache_file()),
        "cells_with_unequal_model_sizes": embedded.size_disagreements(),
    }


def _imported(name: str) -> dict[str, Any]:
    from nasbench_evo.tables import imported

    fields = imported.open_file(name).fields
    return {
        "file": str(imported.path_of(name)),
        "imported": fields.get("imported"),
        "source_file": fields["source"].get("file"),
        "source_md5": fields["source"].get("md5"),
        "published_as": fields["source"].get("known_as"),
        "lengths_of_training": sorted(map(int, fields["recipes"])),
        "splits": imported.splits(name),
    }


def _describe(table: Table, dataset: str) -> dict[str, Any]:
    import numpy as np

    from nasbench_evo.tables.table import FIXED_POINT

    d = table.row(dataset)
    space = table.space
    numbers, cells = np.unique(table.trials[d], return_counts=True)
    images = table.images[d]
    return {
        "validation_images": "unknown" if images == FIXED_POINT else images,
        "validation_split": table.valid_split[d] if table.valid_split else None,
        "test_split": (table.test_split[d] if table.test_split else "") or "none",
        "learning_curves": table.has_curve(dataset),
        **{f"cells_with_{n}_trials": int(k) for n, k in zip(numbers, cells, strict=True)},
        "best_mean_accuracy": float(table.best[d]),
        **({"best_is_of": "test accuracy"} if table.by_test(dataset) else {}),
        "best_arch": space.format(space.from_index(int(np.nanargmax(table.quality[d])))),
        "mean_train_seconds": _number(table.train_seconds[d]),
    }


def _number(values: Any) -> float | None:
    """Return the mean of what is known, None if nothing is."""
    import numpy as np

    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


@app.command()
def verify(name: Name = EMBEDDED, as_json: AsJson = False) -> None:
    """Check a whole table: content, cells, known optima, isomorphic cells, curves.

    A line that FAILED ends it with exit code 4; a note is something to know, not an error.
    """
    from nasbench_evo.errors import DataError
    from nasbench_evo.tables import verify as verify_
    from nasbench_evo.tables.plausible import FAILED

    checks = verify_.verify(name)
    if as_json:
        out(json.dumps([check._asdict() for check in checks], indent=1))
    else:
        for check in checks:
            out(f"{check.status:6}  {check.name}: {check.text}")
    failed = [check.name for check in checks if check.status == FAILED]
    if failed:
        raise DataError(f"The table {name} failed: {', '.join(failed)}. Import it again.")


@app.command()
def query(
    arch: Annotated[
        str,
        typer.Argument(
            help="A cell: the published string, six operation digits (333103), or '#' and the "
            "official index (#123)."
        ),
    ],
    dataset: Annotated[str | None, typer.Option(help="One data set only.")] = None,
    name: Annotated[str, typer.Option("--table", help="Which table.")] = EMBEDDED,
    epochs: Epochs = None,
    as_json: AsJson = False,
) -> None:
    """Print what the table knows of a cell: trials, mean, regret, rank, size, cost."""
    from nasbench_evo import tables
    from nasbench_evo.spaces import NASBench201, spellings

    table = tables.load(name, epochs)
    space = table.space
    genotype = space.parse(arch)
    index, native = space.index(genotype), isinstance(space, NASBench201)
    rows = [table.row(dataset)] if dataset else range(len(table.datasets))
    content: dict[str, Any] = {
        "arch": space.format(genotype),
        "genotype": list(genotype),
        **({"official_index": spellings.official_index()[index]} if native else {}),
        "epochs": table.epochs,
        "datasets": {table.datasets[d]: _facts(table, d, index) for d in rows},
    }
    if as_json:
        out(json.dumps(content, indent=1))
        return
    out(content["arch"])
    if native:
        digits = "".join(map(str, genotype))
        out(f"official index {content['official_index']}, digits {digits}")
    out(space.draw(genotype))
    for dataset_, facts in content["datasets"].items():
        out(f"\n{dataset_}")
        _print(facts, indent="  ")


def _facts(table: Table, d: int, index: int) -> dict[str, Any]:
    """Return what a table knows of one cell on one data set; None for what it does not."""
    import numpy as np

    present = table.present[d, index]
    if not present.any():
        return {"valid_accuracy": None}
    dataset, genotype = table.datasets[d], table.space.from_index(index)
    facts: dict[str, Any] = {
        "valid_accuracy": table.valid_accuracy[d, index][present].tolist(),
        "mean_accuracy": float(table.mean_accuracy[d, index]),
        **_measured(table, d, index),
        "regret": table.regret(dataset, genotype),
        "rank": table.rank(dataset, genotype),
        "parameters": max(int(table.parameters[d, index]), 0) or None,
        "latency_seconds": _number(table.latency_seconds[d, index : index + 1]),
        "train_seconds": _number(table.train_seconds[d, index : index + 1]),
    }
    if present.sum() == 1:
        facts["note"] = "one trial: its luck is part of mean, regret and rank"
    if table.test_accuracy is not None:
        tests = table.test_accuracy[d, index]
        facts["test_accuracy"] = tests[~np.isnan(tests)].tolist()
    if table.flops is not None:
        facts["flops_millions"] = _number(table.flops[d, index : index + 1])
    for name, values in table.metrics.items():
        facts[name] = _number(values[d, index : index + 1])
    return facts


def _measured(table: Table, d: int, index: int) -> dict[str, float]:
    """Return the mean of what a table measures, where its accuracy is a score of that."""
    if table.measured is None:
        return {}
    return {f"mean_{table.metric.name}": float(table.mean_measured[d, index])}


def _print(content: dict[str, Any], indent: str = "") -> None:
    """Print keys and values in two columns, units in the key."""
    width = max(map(len, content))
    for key, value in content.items():
        if isinstance(value, list):
            value = ", ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in value)
        elif isinstance(value, float):
            value = f"{value:.4f}"
        elif value is None:
            value = "unknown"
        elif isinstance(value, bool):
            value = "yes" if value else "no"
        out(f"{indent}{key.replace('_', ' '):<{width}}  {value}")
