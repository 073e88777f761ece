"""Helpers of the tests."""

from __future__ import annotations

import ast
import gc
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nasbench_evo.algorithms import ALGORITHMS
from nasbench_evo.evaluators.base import Session
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Evaluate, Evaluation
from nasbench_evo.suite import Entry, Suite, load
from nasbench_evo.tables import Table

_BLOCK = re.compile(
    r"(?:<!-- (?P<note>[^\n]*) -->\n *)?```(?P<kind>\w*)\n(?P<text>.*?)```", re.DOTALL
)


class Block(NamedTuple):
    """A block of code of a page, and the comment before it."""

    note: str
    kind: str
    text: str


def blocks(path: Path) -> list[Block]:
    """The blocks of code of a page."""
    found = _BLOCK.finditer(path.read_text())
    return [Block(match["note"] or "", match["kind"], match["text"]) for match in found]


def cli(
    *arguments: object, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, with more variables in its environment."""
    command = [sys.executable, "-m", "nasbench_evo", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        env={**os.environ, **environment},
    )


def tiny(*rows: str | Entry, **settings: Any) -> Suite:
    """A small suite on cifar10; rows are names of algorithms, or entries."""
    chosen = {"name": "tiny", "datasets": ["cifar10"], "seeds": 3, "evaluations": 50, **settings}
    chosen.setdefault("checkpoints", [chosen["evaluations"]])
    entries = [row if isinstance(row, Entry) else Entry(algorithm=row) for row in rows]
    return Suite(rows=entries, **chosen)


def loaded(folder: Path, text: str) -> Suite:
    """The suite of a text, read from a file in `folder` as the command line does."""
    file = folder / "tiny.toml"
    file.write_text(text)
    return load(file)


class Scripted(Stream):
    """A stream whose scalar draws are given; it fails when they run out."""

    def __init__(self, draws: Iterable[float]) -> None:
        super().__init__(0)
        self.left = list(draws)
        self.random = lambda: self.left.pop(0)

    def randoms(self, n: int) -> list[float]:
        return [self.random() for _ in range(n)]


def evaluation(genotype: object, accuracy: float, loss: float | None = None) -> Evaluation:
    """A full training's answer."""
    return Evaluation(genotype, accuracy, loss, 1.0, 1.0, "table", 1.0)


def through(
    session: Session, genotypes: Sequence[Any], fractions: Sequence[float], teacher: Any = None
) -> list[list[Evaluation]]:
    """Train genotypes through landmarks, each its own training; return the answers of each."""
    answers: list[list[Evaluation]] = []
    for fraction in fractions:
        continues = [answer.training for answer in answers[-1]] if answers else None
        answers.append(session.answer(Evaluate(genotypes, fraction, teacher, continues)))
    return answers


def constant(table: Table) -> Table:
    """A table on which every cell is equally good: all ties."""
    return replace(table, correct=np.full_like(table.correct, 1000))


def with_curves(table: Table, epochs: int = 10) -> Table:
    """A table with learning curves that rise linearly to the final accuracy of each trial."""
    rise = np.arange(1, epochs + 1) / epochs
    return replace(table, valid_curve=table.valid_accuracy[..., None] * rise)


# Algorithms that work on a table; darts follows gradients, which only shared weights have.
ON_TABLES = sorted(set(ALGORITHMS) - {"darts"})


def interruptible() -> None:
    """Let signals reach a process that is started from the background, which ignores some."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def parsed(source: str) -> ast.Module:
    """Return the syntax tree of a source, made without garbage collection.

    Python before 3.11.8 raises "AST constructor recursion depth mismatch" where another thread or a
    finaliser parses meanwhile, and only a collection gives it the turn (gh-106905 of CPython).
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        if enabled:
            gc.enable()
