"""`nasbench-evo search` and `nasbench-evo algorithms`: one run, and what there is to run."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from nasbench_evo.cli.console import out


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
    preset: Annotated[str, typer.Option(help="Named hyper-parameters.")] = "paper",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change one: --set population_size=5.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run one search on the table and print the cell it found.

    The accuracy printed is the mean over the table's trials, never the noisy value that the
    search saw.
    """
    from nasbench_evo import algorithms, tables
    from nasbench_evo import runner as runner_
    from nasbench_evo.evaluators.lookup import LookupEvaluator

    cls = algorithms.get(algorithm)
    configured = cls.configure(preset, algorithms.parse_overrides(cls, set_ or []))
    if evaluations is None and simulated_seconds is None:
        evaluations = 300
    budget = runner_.Budget(evaluations, simulated_seconds)
    table = tables.load()
    evaluator = LookupEvaluator(table, dataset)
    result = runner_.search(configured, evaluator, seed=seed, budget=budget)
    d, index = table.row(dataset), table.space.index(result.genotype)
    content: dict[str, Any] = {
        "algorithm": algorithm,
        "preset": preset,
        "hyperparameters": configured.hyperparameters(),
        "space": evaluator.space.name,
        "evaluator": evaluator.name,
        "dataset": dataset,
        "seed": seed,
        "evaluations": result.evaluations,
        "genotype": list(result.genotype),
        "arch": table.space.format(result.genotype),
        "valid_accuracy": float(table.mean_accuracy[d, index]),
        "regret": table.regret(dataset, result.genotype),
        "rank": table.rank(dataset, result.genotype),
        "parameters": int(table.parameters[d, index]),
        "latency_seconds": float(table.latency_seconds[d, index]),
        "simulated_seconds": result.simulated_seconds,
        "trace_sha256": result.trace_sha256,
        "wall_seconds": result.wall_seconds,
        "notes": result.notes,
    }
    if as_json:
        out(json.dumps(content, indent=1))
        return
    out(f"{content['arch']}\n{table.space.draw(result.genotype)}\n")
    out(f"{algorithm} ({preset}), {dataset}, seed {seed}")
    trials = int(table.trials[d, index])
    out(f"  mean valid accuracy  {content['valid_accuracy']:.3f} % over {trials} trials")
    out(f"  regret               {content['regret']:.3f} percentage points")
    out(f"  rank                 {content['rank']} of {table.correct.shape[1]}")
    out(f"  parameters           {content['parameters'] / 1e6:.3f} M")
    out(f"  latency              {content['latency_seconds'] * 1e3:.2f} ms")
    out(f"  evaluations          {result.evaluations:g} full trainings")
    out(f"  simulated time       {result.simulated_seconds / 3600:.1f} h of training")
    out(f"  wall time            {result.wall_seconds * 1e3:.1f} ms")
    out(f"  trace SHA-256        {result.trace_sha256}")


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
