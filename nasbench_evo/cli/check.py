"""`nasbench-evo check`: the search-quality gate."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_evo.cli.console import out, progress, say, tables
from nasbench_evo.files import RESULTS

if TYPE_CHECKING:
    from nasbench_evo.gate.baseline import Baseline
    from nasbench_evo.gate.judgement import Outcome
    from nasbench_evo.gate.measured import Key, Measured
    from nasbench_evo.gate.report import Section
    from nasbench_evo.suite import Suite

_FOLDER = RESULTS / "baselines"


def check(
    suite: Annotated[
        str, typer.Argument(help="A suite file, or the name of a bundled one.")
    ] = "nb201",
    baseline: Annotated[
        Path | None,
        typer.Option(
            help="Baseline file (default: SUITE.json in results/baselines, else the one that the "
            "package brings)."
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1, help="Seeds (default: all of the baseline; of a new one, the suite's)."
        ),
    ] = None,
    algorithm: Annotated[
        list[str] | None,
        typer.Option(help="Gate this algorithm instead: a name, or package.module:Class."),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Make what runs now the baseline.")
    ] = False,
    allow_changed_traces: Annotated[
        bool,
        typer.Option("--allow-changed-traces", help="A change of behaviour is intended."),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail where non-inferiority is not shown.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes (default: one a core).")
    ] = None,
    engine: Annotated[str, typer.Option(help="serial, processes or dask.")] = "processes",
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print every table, and published figures.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fail (exit code 5) if the search changed or got worse than its baseline.

    Compares the traces of all seeds, distributions over paired seeds, the order of the methods, and
    the figures of results/SUITE/summary.json. Where GITHUB_STEP_SUMMARY is set, a Markdown summary
    is added to that file.
    """
    from nasbench_evo import algorithms, engines
    from nasbench_evo import suite as suites
    from nasbench_evo.gate import baseline as gate_baseline
    from nasbench_evo.gate import judgement
    from nasbench_evo.gate import summary as gate_summary

    started = time.monotonic()
    own = algorithm or []
    engines.get(engine)  # a wrong name fails before anything runs
    for name in own:
        algorithms.get(name)
    chosen = suites.load(suites.find(suite))
    suites.require_table(chosen)
    path = baseline or _FOLDER / f"{_stem(chosen.name, own)}.json"
    command = _command(suite, own, baseline)
    if not accept and baseline is None and not path.exists() and not own:
        path = gate_baseline.bundled(chosen.name) or path
    known = None if accept else gate_baseline.load(path, command)
    number = seeds or (known.seeds if known else chosen.seeds)
    if seeds is None and number != chosen.seeds:
        say(
            f"{chosen.name} asks for {chosen.seeds} seeds; the gate runs the {number} of the "
            "baseline. --seeds N runs fewer."
        )
    chosen = judgement.prepared(chosen, number, own)
    if known:
        gate_baseline.require(known, chosen, command)
    measured = _measure(chosen, engine, workers)
    read = RESULTS / chosen.name / "summary.json"
    if known is None:
        _accept(
            chosen, own, measured, path, _old(path, chosen), time.monotonic() - started, as_json
        )
        return
    outcome = judgement.judge(
        known,
        measured,
        suite=chosen.name,
        own=own,
        allow_changed_traces=allow_changed_traces,
        strict=strict,
        summary=None if own else gate_summary.check(read, chosen, measured),
    )
    published = _published(chosen, measured)
    _report(outcome, published, junit, time.monotonic() - started, as_json=as_json, verbose=verbose)


def _stem(suite: str, own: Sequence[str]) -> str:
    """Return the file name of a baseline: algorithms given by name have one of their own."""
    return "-".join([suite, *(name.rpartition(":")[2] for name in own)])


def _command(suite: str, own: Sequence[str], baseline: Path | None) -> str:
    """Return the command that this baseline belongs to, for messages."""
    words = ["nasbench-evo", "check", suite]
    for name in own:
        words += ["--algorithm", name]
    return shlex.join(words + (["--baseline", str(baseline)] if baseline else []))


def _measure(suite: Suite, engine: str, workers: int | None) -> dict[Key, Measured]:
    from nasbench_evo import execution
    from nasbench_evo.gate import cells as gate_cells
    from nasbench_evo.gate import measured as gate_runs

    every, seeds = gate_cells.units(suite), execution.seeds(suite)
    runs = sum(len(gate_cells.seeds_of(unit, seeds)) for unit in every)
    with progress("gate", runs, 0) as advance:
        return gate_runs.measure(
            every,
            seeds,
            engine=engine,
            workers=workers or execution.default_workers(),
            progress=advance,
        )


def _published(suite: Suite, measured: dict[Key, Measured]) -> Section:
    from nasbench_evo import tables
    from nasbench_evo.analysis import statistics
    from nasbench_evo.gate import layers
    from nasbench_evo.gate import report as gate_report
    from nasbench_evo.randomness import stream
    from nasbench_evo.results import comparison

    regrets = layers.scales(measured)
    rng = stream(0, "bootstrap of the comparison").generator
    ours = {}
    searched, reported = tables.load(suite.table), tables.reported(suite.table)
    whole = searched.epochs == reported.epochs  # the gate judges by the table that is searched
    for (label, dataset), m in layers.own(measured).items() if whole else ():
        best = comparison.best_accuracy(suite, dataset)
        values = best - regrets[dataset].counts[m.sample.final] * regrets[dataset].unit
        ours[label, dataset, "valid"] = statistics.bootstrap_interval(values, rng=rng)
    rows = comparison.compare_all(suite, ours)
    return gate_report.Section("Published", comparison.COLUMNS, rows, comparison.NOTE)


def _accept(
    suite: Suite,
    own: Sequence[str],
    measured: dict[Key, Measured],
    path: Path,
    replaced: tuple[Baseline | None, str],
    seconds: float,
    as_json: bool,
) -> None:
    """Write the baseline, print what it replaces, and say where it fails itself."""
    from nasbench_evo.gate import baseline as gate_baseline
    from nasbench_evo.gate import judgement, layers
    from nasbench_evo.gate import report as gate_report
    from nasbench_evo.results import manifest

    runs = sum(len(m.hashes) for m in measured.values())
    provenance = manifest.manifest(suite, runs=runs, failed=0, seconds=seconds)
    provenance |= {
        "evaluations": suite.evaluations,
        "simulated_seconds": suite.simulated_seconds,
    }
    new = gate_baseline.of(measured, provenance)
    regrets = layers.scales(measured)
    twins = {dataset for label, dataset in measured.keys() - layers.own(measured).keys()}
    layers.margins(new, regrets, twins)  # a baseline that cannot judge is not written
    old, why = replaced
    section = gate_report.side_by_side(old, new, regrets)
    failing = [
        f"{order.requirement}: {order.value:.3g}, needed {order.bound}"
        for order in judgement.orders(new, measured, own)
        if not order.passed
    ]
    gate_baseline.save(new, path)
    if as_json:
        rows = [dict(zip(section.columns, row, strict=True)) for row in section.rows]
        content = {"baseline": str(path), "replaces": why, "failing": failing, "rows": rows}
        out(json.dumps(content, indent=1))
    else:
        _print(section)
    say(f"Accepted as {path}, which {why}. Commit it with the reason for the change.")
    if failing:
        said = "\n".join(f"  {requirement}" for requirement in failing)
        say(f"Warning: it fails its own layer C (ordering), so every check will. Not met:\n{said}")


def _old(path: Path, suite: Suite) -> tuple[Baseline | None, str]:
    """Return the baseline that goes, if its figures can stand beside the new, and what it was."""
    from nasbench_evo.errors import NasbenchEvoError
    from nasbench_evo.gate import baseline as gate_baseline
    from nasbench_evo.tables import load

    if not path.exists():
        return None, "is new"
    try:
        old = gate_baseline.load(path, "nasbench-evo check")
    except NasbenchEvoError as error:
        return None, f"could not be read ({error})"
    if old.manifest.get("table_sha256") != load(suite.table).sha256:
        return None, "was made with another table"
    return old, f"replaces one of {old.manifest.get('created')}"


def _report(
    outcome: Outcome,
    published: Section,
    junit: Path | None,
    seconds: float,
    *,
    as_json: bool,
    verbose: bool,
) -> None:
    """Print and write the findings; raise BehaviourChanged unless they pass.

    Where they pass that is a line a layer; with `verbose` every table, and what was published.
    """
    from nasbench_evo.errors import BehaviourChanged
    from nasbench_evo.gate import report as gate_report
    from nasbench_evo.results import comparison

    if junit:
        _write(junit, gate_report.junit(outcome, seconds), "wb")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        _write(Path(summary), gate_report.markdown(outcome, [published]).encode(), "ab")
    if as_json:
        rows = [dict(zip(published.columns, row, strict=True)) for row in published.rows]
        content = {**outcome.to_json(), "seconds": round(seconds, 1), "published": rows}
        out(json.dumps(content, indent=1))
    else:
        for section in (gate_report.sections if verbose else gate_report.failures)(outcome):
            _print(section)
        if verbose:
            for sentence in comparison.sentences(published.rows):
                out(sentence)
            out(published.note)
        for name, (passed, text) in outcome.layers.items():
            out(f"{'pass' if passed else 'FAIL'}  {name}: {text}")
    if not outcome.passed:
        raise BehaviourChanged(f"{outcome.verdict}. {seconds:.1f} s")
    say(f"{outcome.verdict}. {seconds:.1f} s")


def _write(path: Path, content: bytes, mode: str) -> None:
    from nasbench_evo.errors import InputError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode) as file:
            file.write(content)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror}. Choose another.") from error


def _print(section: Section) -> None:
    from rich.table import Table

    console = tables()
    table = Table(title=section.title, caption=section.note or None)
    for name in section.columns:
        table.add_column(name, overflow="fold")
    for row in section.rows:
        table.add_row(*row)
    console.print(table)
