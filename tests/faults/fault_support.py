"""Small suites, the command as a process of its own, and what a store holds, seen from outside."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from support import interruptible

SUITE = """
name = "small"
description = "Four algorithms, for tests of faults."
datasets = ["cifar10", "ImageNet16-120"]
seeds = {seeds}
evaluations = {evaluations}
checkpoints = [10, {evaluations}]
[[rows]]
algorithm = "random_search"
[[rows]]
algorithm = "regularized_evolution"
[[rows]]
algorithm = "eigen"
[[rows]]
algorithm = "genetic_nas"
preset = "nb201"
"""
ROWS_PER_SEED = 8
FILE = "runs.sqlite"
Rows = dict[tuple[str, int], tuple[Any, ...]]  # (unit, seed): the whole row


def write_suite(folder: Path, *, seeds: int, evaluations: int = 40) -> Path:
    """Write the suite file and return it."""
    file = folder / "small.toml"
    file.write_text(SUITE.format(seeds=seeds, evaluations=evaluations))
    return file


def command(suite: Path, out: Path, *options: str) -> list[str]:
    """Return the words of `nasbench-evo run`."""
    words = [sys.executable, "-m", "nasbench_evo", "run", str(suite), "--out", str(out)]
    return [*words, *options]


def start(words: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    """Start a command in a process group of its own, as a terminal does."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        words, text=True, start_new_session=True, preexec_fn=interruptible, **{**pipes, **options}
    )


def rows(out: Path) -> Rows:
    """Return the runs that another process has stored so far, without touching its files."""
    if not (out / FILE).exists():
        return {}
    try:
        with contextlib.closing(sqlite3.connect(f"file:{out / FILE}?mode=ro", uri=True)) as db:
            return {row[:2]: row for row in db.execute("SELECT * FROM runs")}
    except sqlite3.Error:  # in the middle of being made
        return {}


def rows_after_a_kill(out: Path) -> Rows:
    """Return what a dead process has stored, from copies: recovery is left to the next run."""
    with tempfile.TemporaryDirectory() as folder:
        for file in out.glob(FILE + "*"):
            shutil.copy(file, folder)
        return rows(Path(folder))


def export(out: Path) -> str:
    """Return the SHA-256 of every stored run in key order, without how long it took."""
    with contextlib.closing(sqlite3.connect(out / FILE)) as db:
        columns = [name for _, name, *_ in db.execute("PRAGMA table_info(runs)")]
        kept = [name for name in columns if name not in ("wall_seconds", "sha256")]
        content = db.execute(f"SELECT {', '.join(kept)} FROM runs ORDER BY unit, seed").fetchall()  # noqa: S608
    return hashlib.sha256(json.dumps([kept, content]).encode()).hexdigest()


def export_of_trainings(out: Path) -> list[tuple[Any, ...]]:
    """Return every stored run of a suite that trains, without how long anything took."""
    with contextlib.closing(sqlite3.connect(out / FILE)) as db:
        content = db.execute(
            "SELECT unit, seed, genotype, evaluations, trace_sha256, curve, notes FROM runs "
            "ORDER BY unit, seed"
        ).fetchall()
    kept = []
    for *row, notes in content:
        finals = json.loads(notes)["report"]
        kept.append((*row, [(one["valid_accuracy"], one["test_accuracy"]) for one in finals]))
    return kept


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def invoke(*arguments: str) -> Ended:
    """Run the command line in this process; an exception that a user would see passes through."""
    from nasbench_evo import cli

    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", ["nasbench-evo", *arguments]),
        mock.patch.dict(os.environ),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Ended(code, out.getvalue(), err.getvalue())
