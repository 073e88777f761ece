"""`nasbench-evo search` and `nasbench-evo algorithms`: one run, and what there is to run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_evo.cli.console import out

if TYPE_CHECKING:
    from nasbench_evo.spaces.nasbench201 import Cell
    from nasbench_evo.tables import Table


def search(
    algorithm: Annotated[str, typer.Argument(help="See `nasbench-evo algorithms`.")],
    dataset: Annotated[str, typer.Option(help="Data set of the table.")] = "cifar10",
    seed: Annotated[int, typer.Option(help="One seed, one trace.")] = 0,
    evaluations: Annotated[
        float | None, typer.Option(help="Budget in full trainings (default 300).")
    ] = None,
    simulated_seconds: Annotated[
        float | None, typer.Option(help="Budget in seconds of simulated training.")
    ] = None,
    table_name: Annotated[
        str, typer.Option("--table", help="See `nasbench-evo table list`.")
    ] = "nasbench201",
    epochs: Annotated[
        int | None,
        typer.Option(help="Search on trainings of this length; the report reads the longest."),
    ] = None,
    incumbent: Annotated[
        str | None,
        typer.Option(
            help="Rule of recommendation: seen (best single answer) or mean (best average over a "
            "cell's answers); default: the algorithm's."
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="Named hyper-parameters.")] = "paper",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change one: --set population_size=5.")
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="accuracy and any of params, flops, latency: a non-dominated set, by NSGA-II "
            "(extra: multi)."
        ),
    ] = None,
    evaluator_name: Annotated[
        str,
        typer.Option(
            "--evaluator",
            help="lookup; standalone: train every candidate; supernet: train shared weights.",
        ),
    ] = "lookup",
    space: Annotated[str, typer.Option(help="Space of a search that trains.")] = "nasbench201",
    evaluator_set: Annotated[
        list[str] | None,
        typer.Option(help="Set one of a search that trains: --evaluator-set channels=8."),
    ] = None,
    final_set: Annotated[
        list[str] | None,
        typer.Option(help="Train what a supernet found: --final-set epochs=12 (repeatable)."),
    ] = None,
    devices: Annotated[
        str, typer.Option(help="Devices of a search that trains: cpu, or cuda:0,cuda:1.")
    ] = "cpu",
    workers: Annotated[
        int, typer.Option(min=1, help="Processes a device of a search that trains.")
    ] = 1,
    folder: Annotated[
        Path | None,
        typer.Option("--journal", help="Folder where a search that trains can be resumed."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run one search on the table and print the cell it found.

    The accuracy printed is the mean over the table's trials, never the noisy value that the
    search saw.
    """
    from nasbench_evo import algorithms, tables
    from nasbench_evo import runner as runner_
    from nasbench_evo.errors import InputError
    from nasbench_evo.evaluators.lookup import LookupEvaluator
    from nasbench_evo.incumbents import check_rule

    cls = algorithms.get(algorithm)
    configured = cls.configure(preset, algorithms.parse_overrides(cls, set_ or []))
    if evaluations is None and simulated_seconds is None:
        evaluations = 10**9 if evaluator_name == "supernet" else 300  # or until the epochs are over
    budget = runner_.Budget(evaluations, simulated_seconds)
    if incumbent is not None:
        check_rule(incumbent)
        if evaluator_name == "supernet" or objective is not None:
            raise InputError(
                "--incumbent does not go with --evaluator supernet (shared weights change between "
                "answers), nor with --objective (the result is a set)."
            )
    if final_set and evaluator_name != "supernet":
        raise InputError("--final-set needs --evaluator supernet.")
    if evaluator_name != "lookup":
        from nasbench_evo.cli import trained_search, training

        if objective is not None:
            raise InputError("--objective needs --evaluator lookup: costs are read from a table.")
        if evaluator_name == "supernet":
            trainer = trained_search.supernet(
                configured, space, dataset, evaluator_set, final_set, devices, workers, folder
            )
        else:
            trainer = training.evaluator(
                evaluator_name, space, dataset, evaluator_set, devices, workers, folder
            )
        trained_search.search(configured, preset, trainer, seed, budget, incumbent, as_json)
        return
    if space != "nasbench201" or evaluator_set or folder or devices != "cpu" or workers != 1:
        raise InputError(
            "--space, --evaluator-set, --devices, --workers and --journal need "
            "--evaluator standalone or supernet."
        )
    searched, table = tables.load(table_name, epochs), tables.reported(table_name)
    if simulated_seconds is not None:
        searched.require_times(dataset)
    if objective is not None:
        from nasbench_evo.cli import pareto

        pareto.search(
            configured, preset, searched, table, dataset, objective, seed, budget, as_json
        )
        return
    evaluator = LookupEvaluator(searched, dataset)
    result = runner_.search(configured, evaluator, seed=seed, budget=budget, incumbent=incumbent)
    content: dict[str, Any] = {
        "algorithm": algorithm,
        "preset": preset,
        "hyperparameters": configured.hyperparameters(),
        "space": evaluator.space.name,
        "evaluator": evaluator.name,
        "dataset": dataset,
        "table": searched.name,
        "searched_epochs": searched.epochs,
        "seed": seed,
        "evaluations": result.evaluations,
        "incumbent": result.incumbent,
        **_reported(table, dataset, result.genotype),
        "returned": None if result.returned is None else _reported(table, dataset, result.returned),
        "simulated_seconds": result.simulated_seconds,
        "trace_sha256": result.trace_sha256,
        "wall_seconds": result.wall_seconds,
        "notes": result.notes,
    }
    if as_json:
        out(json.dumps(content, indent=1))
    else:
        _print(content, table)


def _reported(table: Table, dataset: str, genotype: Cell) -> dict[str, Any]:
    """Return what the table says of the found cell: means over trials, and its place."""
    index = table.space.index(genotype)
    return {
        "reported": table.protocol(dataset),
        "genotype": list(genotype),
        "arch": table.space.format(genotype),
        "valid_accuracy": float(table.mean_accuracy[table.row(dataset), index]),
        "trials": int(table.trials[table.row(dataset), index]),
        "regret": table.regret(dataset, genotype),
        "rank": table.rank(dataset, genotype),
        "test_accuracy": table.mean_test(dataset, genotype),
        "parameters": table.size(dataset, genotype),
        "latency_seconds": table.latency(dataset, genotype),
    }


def _print(content: dict[str, Any], table: Table) -> None:
    """Print a search for people: the cell, how good it is, what it cost."""
    test, size, latency = (
        content[key] for key in ("test_accuracy", "parameters", "latency_seconds")
    )
    lines = {
        "mean valid accuracy": f"{content['valid_accuracy']:.3f} % over {content['trials']} trials",
        "mean test accuracy": None if test is None else f"{test:.3f} %",
        "reported from": f"{content['reported']}; searched at {content['searched_epochs']} epochs",
        "recommended by": f"the rule {content['incumbent']}",
        "regret": f"{content['regret']:.3f} percentage points",
        "rank": f"{content['rank']} of {table.correct.shape[1]}",
        "returned by itself": None
        if content["returned"] is None
        else "{arch}, regret {regret:.3f}".format(**content["returned"]),
        "parameters": None if size is None else f"{size / 1e6:.3f} M",
        "latency": None if latency is None else f"{latency * 1e3:.2f} ms",
        "evaluations": f"{content['evaluations']:g} full trainings",
        "simulated time": f"{content['simulated_seconds'] / 3600:.1f} h of training",
        "wall time": f"{content['wall_seconds'] * 1e3:.1f} ms",
        "trace SHA-256": content["trace_sha256"],
    }
    out(f"{content['arch']}\n{table.space.draw(table.space.validate(content['genotype']))}\n")
    out(
        f"{content['algorithm']} ({content['preset']}), {content['dataset']}, "
        f"seed {content['seed']}"
    )
    for name, text in lines.items():
        if text is not None:
            out(f"  {name:<19}  {text}")


def algorithms(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the algorithms, their presets and their hyper-parameters."""
    import dataclasses

    from nasbench_evo.algorithms import ALGORITHMS

    content: dict[str, Any] = {}
    for name, cls in ALGORITHMS.items():
        parameters = {
            field.name: {"default": field.default, **field.metadata}
            for field in dataclasses.fields(cls)
        }
        content[name] = {
            "paper": cls.paper,
            "presets": {key: dict(values) for key, values in cls.presets.items()},
            "hyperparameters": parameters,
        }
    if as_json:
        out(json.dumps(content, indent=1))
        return
    for name, facts in content.items():
        out(f"{name}  ({facts['paper']})")
        for key, values in facts["presets"].items():
            changes = ", ".join(f"{k}={v}" for k, v in values.items())
            out(f"  preset {key}: {changes or 'the defaults'}")
        for key, parameter in facts["hyperparameters"].items():
            out(f"  {key} = {parameter['default']}: {parameter['doc']}")
        out("")
