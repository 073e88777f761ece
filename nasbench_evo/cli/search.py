"""`nasbench-evo search` and `nasbench-evo algorithms`: one run, and what there is to run."""

from __future__ import annotations

import dataclasses
import inspect
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_evo.cli.console import out

if TYPE_CHECKING:
    from nasbench_evo.results.answer import Answer, Asked
    from nasbench_evo.runner import Budget

DEFAULT_EVALUATIONS = 300


OWN = "package.module:Class"  # an objective of one's own
ANY, TABLE, TRAINED, SUPERNET = (
    ("lookup", "standalone", "supernet", OWN),
    ("lookup",),
    ("standalone", "supernet"),
    ("supernet",),
)
GOES_WITH = {  # which evaluators an option is for; where it is not given it has its default
    "--table": TABLE,
    "--epochs": TABLE,
    "--objective": TABLE,
    "--simulated-seconds": ("lookup", "standalone", OWN),
    "--incumbent": ("lookup", "standalone", OWN),
    "--held-out": TABLE,
    "--space": (*TRAINED, OWN),
    "--evaluator-set": (*TRAINED, OWN),
    "--devices": TRAINED,
    "--workers": TRAINED,
    "--journal": TRAINED,
    "--final-set": SUPERNET,
}


def check_options(evaluator: str, given: Mapping[str, object]) -> None:
    """Raise InputError for an unknown evaluator, or an option that is not for it."""
    from nasbench_evo.errors import InputError, unknown
    from nasbench_evo.external import is_outside

    kind = OWN if is_outside(evaluator) else evaluator
    if kind not in ANY:
        raise unknown("evaluator", evaluator, ANY)
    for option, value in given.items():
        if value is not None and value != [] and kind not in GOES_WITH[option]:
            raise InputError(
                f"{option} needs --evaluator {' or '.join(GOES_WITH[option])}; got "
                f"--evaluator {evaluator}."
            )


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
        str | None,
        typer.Option("--table", help="See `nasbench-evo table list` (default nasbench201)."),
    ] = None,
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
    held_out: Annotated[
        bool,
        typer.Option(
            "--held-out", help="The search sees one trial of a table, the report reads the others."
        ),
    ] = False,
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
    evaluator: Annotated[
        str,
        typer.Option(
            help="lookup; standalone: train every candidate; supernet: train shared weights; or "
            "package.module:Class, an objective of your own.",
        ),
    ] = "lookup",
    space: Annotated[
        str | None,
        typer.Option(
            help="Space of a search that trains, or of an objective: a name, or "
            "package.module:Class (default nasbench201)."
        ),
    ] = None,
    evaluator_set: Annotated[
        list[str] | None,
        typer.Option(
            help="Set one of a search that trains, or of an objective: --evaluator-set channels=8."
        ),
    ] = None,
    final_set: Annotated[
        list[str] | None,
        typer.Option(help="Train what a supernet found: --final-set epochs=12 (repeatable)."),
    ] = None,
    devices: Annotated[
        str | None,
        typer.Option(help="Devices of a search that trains: cpu (default), or cuda:0,cuda:1."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes a device of a search that trains.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--journal", help="Folder where a search that trains can be resumed."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run one search and print what it found.

    On a table the accuracy printed is the mean over the table's trials, never the noisy value that
    the search saw; where something is trained it is that of new trainings of what was found.
    """
    from nasbench_evo import algorithms
    from nasbench_evo.results.answer import Asked

    given = {"--table": table_name, "--epochs": epochs, "--objective": objective,
             "--simulated-seconds": simulated_seconds, "--space": space,
             "--evaluator-set": evaluator_set, "--devices": devices, "--workers": workers,
             "--incumbent": incumbent, "--journal": folder, "--final-set": final_set,
             "--held-out": held_out or None}  # fmt: skip
    check_options(evaluator, given)
    cls = algorithms.get(algorithm)
    configured = cls.configure(preset, algorithms.parse_overrides(cls, set_ or []))
    asked = Asked(configured, configured.preset_name(preset), evaluator, dataset, seed)
    if evaluator in TRAINED:
        from nasbench_evo.cli import trained_search

        found = trained_search.search(
            asked,
            trained_search.trainer(
                asked,
                space or "nasbench201",
                evaluator_set,
                final_set,
                (devices or "cpu").split(","),
                workers or 1,
                folder,
            ),
            trained_search.budget(evaluator, evaluations, simulated_seconds),
            incumbent,
        )
    elif evaluator not in TABLE:
        found = _on_objective(
            asked, space, evaluator_set, evaluations, simulated_seconds, incumbent
        )
    else:
        found = _on_table(
            asked, table_name, epochs, objective, evaluations, simulated_seconds, incumbent,
            held_out,
        )  # fmt: skip
    show(found, as_json=as_json)


def _on_objective(
    asked: Asked,
    space: str | None,
    assignments: list[str] | None,
    evaluations: float | None,
    seconds: float | None,
    incumbent: str | None,
) -> Answer:
    """Return the answer of a search on an objective of somebody's own code."""
    from nasbench_evo import runner
    from nasbench_evo.evaluators import specifications
    from nasbench_evo.evaluators.settings import parse
    from nasbench_evo.files import canonical
    from nasbench_evo.results import answer as answers

    settings = canonical(parse(assignments or []))
    options = specifications.ObjectiveOptions(asked.evaluator, space or "nasbench201", settings)
    evaluator = options.make(asked.dataset)
    budget = _budget(evaluations, seconds)
    answers.require_seconds(evaluator, budget)
    result = runner.search(
        asked.algorithm, evaluator, seed=asked.seed, budget=budget, incumbent=incumbent
    )
    return answers.answer(
        asked, evaluator.space, result, answers.by_objective(evaluator, result, asked.evaluator)
    )


def _budget(evaluations: float | None, seconds: float | None) -> Budget:
    from nasbench_evo.runner import Budget

    nothing = evaluations is None and seconds is None
    return Budget(DEFAULT_EVALUATIONS if nothing else evaluations, seconds)


def _on_table(
    asked: Asked,
    name: str | None,
    epochs: int | None,
    objective: str | None,
    evaluations: float | None,
    seconds: float | None,
    incumbent: str | None,
    one_trial: bool,
) -> Answer:
    """Return the answer of a search on a table, for one objective or several."""
    from nasbench_evo import runner, tables
    from nasbench_evo.errors import InputError
    from nasbench_evo.evaluators.lookup import HeldOutEvaluator, LookupEvaluator
    from nasbench_evo.results import answer as answers
    from nasbench_evo.tables import held_out

    name = name or "nasbench201"
    searched, table = tables.load(name, epochs), tables.reported(name)
    if seconds is not None:
        searched.require_times(asked.dataset)
    budget = _budget(evaluations, seconds)
    evaluator = (HeldOutEvaluator if one_trial else LookupEvaluator)(searched, asked.dataset)
    if one_trial:
        if objective is not None or epochs is not None or "@" in name:
            raise InputError(
                "--held-out goes with one objective, accuracy, on a table at its full length; what "
                "is searched on shorter trainings is reported on others anyway."
            )
        table = held_out.split(searched, asked.seed).others
    algorithm, more = asked.algorithm, {}
    if objective is not None:
        from nasbench_evo.cli import pareto

        algorithm, finish = pareto.several(asked, table, objective)
    result = runner.search(
        algorithm, evaluator, seed=asked.seed, budget=budget, incumbent=incumbent
    )
    if objective is not None:
        more = finish(result)
    judged = answers.of_search(searched, table, asked.dataset, result)
    judged = dataclasses.replace(judged, details={**judged.details, **more})
    return answers.answer(asked, table.space, result, judged)


def show(found: Answer, *, as_json: bool) -> None:
    """Print an answer, for people or as JSON."""
    from nasbench_evo.results import answer as answers

    if as_json:
        # What a search on a table said outside `details` stays there for one release.
        old = found.details if found.evaluator in TABLE else {}
        out(json.dumps({**found.to_json(), **old}, indent=1))
        return
    if "non_dominated" in found.details:
        from nasbench_evo.cli import pareto

        pareto.show_set(found)
        return
    out(f"{_drawn(found)}\n")
    out("\n".join([answers.title(found), *answers.block(answers.lines(found))]))


def _drawn(found: Answer) -> str:
    """Return what was found as its space prints it, and in text drawn where the space does that."""
    from nasbench_evo import spaces
    from nasbench_evo.results.kind import described

    if found.space != spaces.NASBench201.name:
        return found.arch
    return described(spaces.NASBench201(), found.genotype)


def algorithms(
    name: Annotated[
        str | None, typer.Argument(help="One of them, also package.module:Class; all without it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the algorithms, or one of them, with presets and hyper-parameters."""
    from nasbench_evo import algorithms as known

    chosen = dict(known.ALGORITHMS) if name is None else {name: known.get(name)}
    content: dict[str, Any] = {}
    for key, cls in chosen.items():
        parameters = {
            field.name: {
                "default": field.default,
                **{fact: field.metadata[fact] for fact in ("doc", "low", "high", "choices")},
            }
            for field in dataclasses.fields(cls)
        }
        content[key] = {
            "paper": cls.paper,
            "presets": {cls.preset_name(key): dict(v) for key, v in cls.presets.items()},
            "hyperparameters": parameters,
        }
    if as_json:
        out(json.dumps(content, indent=1))
        return
    for title, facts in content.items():
        out(f"{title}  ({facts['paper']})")
        if name is not None:
            for part in str(inspect.getdoc(chosen[title])).split("\n\n"):
                _wrapped(part, "  ")
                out("")
        for key, values in facts["presets"].items():
            changes = ", ".join(f"{k}={v}" for k, v in values.items())
            _wrapped(f"preset {key}: {changes or 'the defaults'}", "  ", "    ")
        for key, parameter in facts["hyperparameters"].items():
            allowed = "" if name is None else _allowed(parameter)
            line = f"{key} = {parameter['default']}: {parameter['doc']}{allowed}"
            _wrapped(line, "  ", "    ")
        out("")


def _wrapped(text: str, first: str, later: str | None = None) -> None:
    """Print a text in lines of at most 80 characters, a word that is longer whole."""
    later = first if later is None else later
    wrap = textwrap.TextWrapper(80, initial_indent=first, subsequent_indent=later)
    wrap.break_long_words = wrap.break_on_hyphens = False
    out(wrap.fill(text))


def _allowed(parameter: Mapping[str, Any]) -> str:
    """Return which values a hyper-parameter takes, in brackets."""
    low, high, choices = (parameter[fact] for fact in ("low", "high", "choices"))
    if choices is not None:
        return f" ({' | '.join(choices)})"
    if low is None and high is None:
        return ""
    return f" ({'' if low is None else low}..{'' if high is None else high})"
