"""kill -9 at random moments of `nasbench-evo run`, which is resumed each time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from faults.fault_support import (
    ROWS_PER_SEED,
    Rows,
    command,
    export,
    invoke,
    rows,
    rows_after_a_kill,
    start,
    write_suite,
)

from nasbench_evo.store import Record

KILLS = int(os.environ.get("FAULT_KILLS", "12"))  # docs/reliability.md: 200
SEEDS = 60
ENGINES = {"serial": ["--engine", "serial"], "processes": ["--workers", "2"]}


def phase(before: Rows, seen: Rows, total: int) -> str:
    """Where a run was when it was killed; one that found all runs done starts or reports."""
    if len(before) == total:
        return "reporting" if len(seen) < total else "reporting again"
    return "starting" if before == seen else "running"


def timeless(stored: Rows) -> Rows:
    """Return rows without their seconds, and the hash of these."""
    seconds, sha256 = Record._fields.index("wall_seconds"), len(Record._fields)
    return {
        key: tuple(value for i, value in enumerate(row) if i not in (seconds, sha256))
        for key, row in stored.items()
    }


def wait_for_a_run(process: subprocess.Popen[str], out: Path, seen: Rows) -> None:
    """Wait until a process has stored a run, or has ended."""
    while process.poll() is None and len(rows(out)) <= len(seen):
        time.sleep(0.002)


class Chain:
    """A suite that is killed and resumed until it is whole, again and again."""

    def __init__(self, folder: Path, engine: str, rng: np.random.Generator) -> None:
        self.suite = write_suite(folder, seeds=SEEDS, evaluations=150)
        self.options, self.rng, self.folder = ENGINES[engine], rng, folder
        self.phases: Counter[str] = Counter()
        self.completed = 0
        self.total = SEEDS * ROWS_PER_SEED
        started = time.monotonic()
        self.finish(folder / "whole")
        self.seconds = time.monotonic() - started
        self.whole = export(folder / "whole")

    def finish(self, out: Path) -> None:
        done = subprocess.run(
            command(self.suite, out, *self.options), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert len(rows(out)) == self.total

    def kill(self, number: int) -> None:
        """Kill `number` times; each suite that gets whole in between is compared, then removed."""
        out, seen = self.folder / "killed", {}
        while self.phases.total() < number:
            started = time.monotonic()
            process = start(command(self.suite, out, *self.options))
            longest = self.seconds
            if self.rng.random() < 0.25:  # most of a short suite is its start and its report
                wait_for_a_run(process, out, seen)
                longest = 0.02
            try:
                process.communicate(timeout=self.rng.uniform(0, longest))
            except subprocess.TimeoutExpired:
                seen = self._killed(process, out, seen)
                if len(seen) == self.total and self.rng.random() < 0.7:
                    seen = self._begin_anew(seen, out)
                continue
            assert process.returncode == 0
            self._whole(out)
            seen = {}
            self.seconds = min(self.seconds, time.monotonic() - started)  # too late for a kill
        self.finish(out)
        self._whole(out)

    def _killed(self, process: subprocess.Popen[str], out: Path, seen: Rows) -> Rows:
        before = rows(out)
        if self.rng.random() < 0.5:  # the driver alone, then its workers; or all at once
            process.kill()
            time.sleep(self.rng.uniform(0, 0.1))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        after = rows_after_a_kill(out)
        # Whole rows, with their seconds: none is lost, none was made a second time.
        assert seen.items() <= before.items() or not before
        assert seen.items() <= after.items()
        assert before.items() <= after.items()
        self.phases[phase(before or seen, seen, self.total)] += 1
        return after

    def _begin_anew(self, seen: Rows, out: Path) -> Rows:
        """Compare a store that is whole before its report is, and remove it."""
        assert timeless(seen) == timeless(rows(self.folder / "whole"))
        self.completed += 1
        shutil.rmtree(out)
        return {}

    def _whole(self, out: Path) -> None:
        assert export(out) == self.whole
        assert (out / "summary.csv").read_bytes() == (
            self.folder / "whole" / "summary.csv"
        ).read_bytes()
        self.completed += 1
        shutil.rmtree(out)


def chain(folder: Path, engine: str, number: int) -> Chain:
    """Kill suites `number` times, at moments that only the engine's name decides."""
    folder.mkdir()
    made = Chain(folder, engine, np.random.default_rng(sorted(ENGINES).index(engine)))
    made.kill(number)
    print(
        f"{engine}: {number} kills ({dict(made.phases)}), {made.completed} suites of "
        f"{made.total} runs made whole, kills within {made.seconds:.1f} s"
    )
    return made


@pytest.mark.slow
def test_kill_9_at_random_moments_loses_and_repeats_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        chains = list(
            pool.map(lambda name: chain(tmp_path / name, name, KILLS // 2), sorted(ENGINES))
        )
    assert chains[0].whole == chains[1].whole  # one content whatever the engine
    phases = sum((made.phases for made in chains), Counter())
    assert phases.total() == KILLS
    assert "running" in phases
    if KILLS >= 100:
        assert set(phases) >= {"starting", "running", "reporting"}
        assert all(made.completed >= 2 for made in chains)


def test_five_kills(tmp_path: Path) -> None:
    """The same in little, at every commit: early kills, for these cost least."""
    suite, out = write_suite(tmp_path, seeds=20), tmp_path / "killed"
    rng, seen = np.random.default_rng(0), Rows()
    for _ in range(5):
        process = start(command(suite, out, "--engine", "serial"))
        deadline = time.monotonic() + 60
        while len(rows(out)) == len(seen) and time.monotonic() < deadline:
            if process.poll() is not None:
                break
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.02))
        before = rows(out)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        after = rows_after_a_kill(out)
        assert seen.items() <= before.items() <= after.items()
        seen = after
    assert seen
    for folder in (out, tmp_path / "whole"):
        assert invoke("run", str(suite), "--out", str(folder), "--engine", "serial").code == 0
    assert export(out) == export(tmp_path / "whole")
