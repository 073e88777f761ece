"""Searches that train, from the command line: with progress, and with what they found trained."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from nasbench_evo.cli.console import out, progress, say

if TYPE_CHECKING:
    from nasbench_evo.algorithms import Algorithm
    from nasbench_evo.evaluators.base import Session
    from nasbench_evo.evaluators.specifications import Trainer
    from nasbench_evo.requests import Request
    from nasbench_evo.runner import Budget, Result
    from nasbench_evo.spaces import Space
    from nasbench_evo.training.individuals import Trained


class Watched:
    """An evaluator whose answers move a progress bar: epochs of shared weights, or evaluations."""

    def __init__(self, trainer: Trainer, advance: Callable[[int], None], *, shared: bool) -> None:
        self._trainer, self._advance, self._shared = trainer, advance, shared
        self.name, self.dataset = trainer.name, trainer.dataset

    @property
    def space(self) -> Space:
        """The space of the evaluator."""
        return self._trainer.space

    def identity(self) -> dict[str, Any]:
        """Return the identity of the evaluator."""
        return self._trainer.identity()

    def start(self, seed: int) -> Session:
        """Return a session of the evaluator, watched."""
        session = self._trainer.start(seed)
        answer = session.answer

        def counted(request: Request) -> Any:
            answers = answer(request)
            if not self._shared:
                self._advance(len(answers))
            elif type(request).__name__.startswith("Train"):
                self._advance(1)
            return answers

        session.answer = counted  # type: ignore[method-assign]
        return session


def search_length(algorithm: Algorithm, budget: Budget, *, shared: bool) -> int:
    """Return how many epochs, or full trainings at the most, a search has."""
    from nasbench_evo.suite import search_epochs

    return search_epochs(algorithm) if shared else round(budget.evaluations or 0)


def supernet(
    algorithm: Algorithm,
    space: str,
    dataset: str,
    assignments: list[str] | None,
    final: list[str] | None,
    devices: str,
    workers: int,
    folder: Path | None,
) -> Trainer:
    """Return the supernet evaluator that the options stand for; `final` trains what it finds."""
    from nasbench_evo.evaluators import specifications
    from nasbench_evo.evaluators.settings import parse
    from nasbench_evo.suite import search_epochs

    epochs = search_epochs(algorithm)
    values, last = parse(assignments or []), None if final is None else parse(final)
    chosen = devices.split(",")
    algorithm.check_space(specifications.check_supernet(space, values, last, [dataset], chosen))
    made = specifications.SupernetOptions(
        space,
        json.dumps(values),
        tuple(chosen),
        epochs,
        final=None if last is None else json.dumps(last),
    )
    return made.make(dataset, folder, workers)


def search(
    algorithm: Algorithm,
    preset: str,
    trainer: Trainer,
    seed: int,
    budget: Budget,
    incumbent: str | None,
    as_json: bool,
) -> None:
    """Run one search, train what it found anew, and print both.

    An interruption says how to go on and exits.
    """
    from nasbench_evo import incumbents, runner

    shared = trainer.name == "supernet"
    total = search_length(algorithm, budget, shared=shared)
    try:
        with progress("epochs" if shared else "evaluations", total, 0) as advance:
            watched = Watched(trainer, advance, shared=shared)
            result = runner.search(
                algorithm, watched, seed=seed, budget=budget, incumbent=incumbent
            )
        seen = incumbents.incumbent_accuracies(result.history, result.incumbent)[-1][2]
        final = trainer.report(result.genotype, seed)
    except KeyboardInterrupt:
        again = shlex.join(["nasbench-evo", *sys.argv[1:]])
        kept = "To go on" if trainer.folder else "Nothing is kept without --journal DIR. To repeat"
        say(f"Interrupted. {kept}:\n  {again}")
        raise typer.Exit(130) from None
    finally:
        trainer.close()
    content = _searched(algorithm, preset, trainer, seed, result, seen, final)
    if as_json:
        out(json.dumps(content, indent=1))
    else:
        _print_searched(content)


def _searched(
    algorithm: Algorithm,
    preset: str,
    trainer: Trainer,
    seed: int,
    result: Result,
    seen: float,
    final: Sequence[Trained],
) -> dict[str, Any]:
    from nasbench_evo.evaluators import probing

    return {
        "algorithm": algorithm.name,
        "preset": preset,
        "hyperparameters": algorithm.hyperparameters(),
        "evaluator": trainer.identity(),
        "seed": seed,
        "evaluations": result.evaluations,
        "incumbent": result.incumbent,
        "genotype": result.genotype,
        "arch": trainer.space.format(result.genotype),
        "returned": result.returned,
        "seen_valid_accuracy": seen,
        "final_trainings": [
            {
                "valid_accuracy": one.valid_accuracy,
                "test_accuracy": one.test_accuracy,
                "status": one.status,
            }
            for one in final
        ],
        "training_seconds": result.simulated_seconds,
        "wall_seconds": result.wall_seconds,
        "trace_sha256": result.trace_sha256,
        "notes": {k: v for k, v in result.notes.items() if k not in probing.DATA},
        "fitness_by_epoch": result.notes.get(probing.FITNESS),
    }


def _print_searched(content: dict[str, Any]) -> None:
    identity = content["evaluator"]
    where = f"{identity['space']['name']} on {identity['data']['name']}"
    rows = [
        ("valid accuracy as the search saw it", f"{content['seen_valid_accuracy']:.3f} %"),
        *(
            (
                "trained anew, for the report",
                f"{one['valid_accuracy']:.3f} % valid, {one['test_accuracy']:.3f} % test "
                f"({one['status']})",
            )
            for one in content["final_trainings"]
        ),
        ("evaluations", _counted(content["evaluations"], identity["evaluator"])),
        ("training time", f"{content['training_seconds']:.1f} s"),
        ("wall time", f"{content['wall_seconds']:.1f} s"),
        ("trace SHA-256", content["trace_sha256"]),
        *(("note", f"{key} = {value}") for key, value in content["notes"].items()),
    ]
    out(f"{content['arch']}\n")
    out(f"{content['algorithm']} ({content['preset']}), {where}, seed {content['seed']}")
    for label, value in rows:
        out(f"  {label:35}  {value}")


def _counted(evaluations: float, evaluator: str) -> str:
    shared = "individuals with shared weights"
    return f"{evaluations:g} {shared if evaluator == 'supernet' else 'full trainings'}"
