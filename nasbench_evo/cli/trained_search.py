"""Searches that train, from the command line: with progress, and with what they found trained."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nasbench_evo.cli.console import progress, say

if TYPE_CHECKING:
    from nasbench_evo.evaluators.base import Trainer
    from nasbench_evo.results.answer import Answer, Asked
    from nasbench_evo.runner import Budget


def budget(evaluator: str, evaluations: float | None, seconds: float | None) -> Budget:
    """Return the budget of a search that trains; on a supernet it may end with its epochs."""
    from nasbench_evo.runner import Budget
    from nasbench_evo.suite.kinds import KINDS

    if evaluations is None and seconds is None:
        evaluations = KINDS[evaluator].default_evaluations
    return Budget(evaluations, seconds)


def trainer(
    asked: Asked,
    space: str,
    assignments: list[str] | None,
    final: list[str] | None,
    devices: list[str],
    workers: int,
    folder: Path | None,
) -> Trainer:
    """Return the evaluator that the options stand for; `final` trains what a supernet finds."""
    from nasbench_evo.evaluators import specifications
    from nasbench_evo.evaluators.settings import parse
    from nasbench_evo.suite.kinds import KINDS, TrainedSearch

    values, last = parse(assignments or []), None if final is None else parse(final)
    wanted = TrainedSearch(asked.algorithm, space, asked.dataset, values, last, tuple(devices))
    specification = KINDS[asked.evaluator].specification(wanted)
    specifications.check_devices(devices)  # before anything is written
    return specifications.make(specification, asked.dataset, folder, workers)


def search(asked: Asked, trainer: Trainer, limit: Budget, incumbent: str | None = None) -> Answer:
    """Run one search, train what it found anew, and return both.

    An interruption says how to go on and exits.
    """
    from nasbench_evo import incumbents, runner, suite
    from nasbench_evo.evaluators.base import TEACHER
    from nasbench_evo.evaluators.watched import Watched
    from nasbench_evo.results import answer as answers
    from nasbench_evo.suite.kinds import KINDS

    shared = KINDS[asked.evaluator].shares_weights
    total = suite.search_epochs(asked.algorithm) if shared else limit.evaluations or 0
    try:
        with progress("epochs" if shared else "trainings", total, 0) as advance:
            watched = Watched(trainer, advance, shared=shared)
            result = runner.search(
                asked.algorithm, watched, seed=asked.seed, budget=limit, incumbent=incumbent
            )
        seen = incumbents.incumbent_accuracies(result.history, result.incumbent)[-1][2]
        taught = TEACHER in result.notes
        final = trainer.report(result.genotype, asked.seed, taught=taught)
    except KeyboardInterrupt:
        again = shlex.join(["nasbench-evo", *sys.argv[1:]])
        kept = "To go on" if trainer.folder else "Nothing is kept without --journal DIR. To repeat"
        say(f"Interrupted. {kept}:\n  {again}")
        raise typer.Exit(130) from None
    finally:
        trainer.close()
    details = {
        "settings": trainer.identity(),
        "weights": "shared" if shared else "own",
        "incumbent": result.incumbent,
        "returned": result.returned,
        "seen_valid_accuracy": seen,
        "fitness_by_epoch": result.notes.get("fitness"),
    }
    trained = [
        {name: getattr(one, name) for name in ("valid_accuracy", "test_accuracy", "status")}
        for one in final
    ]
    judged = answers.by_training(trained, details)
    return answers.answer(asked, trainer.space, result, judged)
