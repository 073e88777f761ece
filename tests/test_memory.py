"""Memory: the peak of every process of the full suite, and no growth over many runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nasbench_evo import execution
from nasbench_evo import suite as suites

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc"),
]

PEAK = 400  # MB a process
GROWTH = 3.0  # MB between the 2,000th and the 10,000th run
SEEDS = 4


def run_and_watch(arguments: list[str]) -> dict[str, float]:
    """Run the command; return the peak resident memory, MB, of the driver and of its workers."""
    words = [sys.executable, "-m", "nasbench_evo", "run", *arguments]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(words, stdout=quiet, stderr=quiet, start_new_session=True)
    peaks: dict[int, float] = {}
    while process.poll() is None:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                pid = int(folder.name)
                if os.getpgid(pid) == process.pid:
                    status = (folder / "status").read_text()
                    peaks[pid] = int(status.split("VmHWM:")[1].split()[0]) / 1024
            except (OSError, IndexError):  # gone
                continue
        time.sleep(0.05)
    assert process.returncode == 0
    driver = peaks.pop(process.pid)
    return {"driver": driver, "worker": max(peaks.values(), default=0.0)}


def test_no_process_of_the_full_suite_takes_much(tmp_path: Path) -> None:
    """A worker's memory does not depend on the number of seeds; the driver reads all runs.

    The workers are watched over a few seeds of every row. For the driver the store is filled up to
    the suite's 500 seeds with copies of these runs, and the command reports on all of it.
    """
    few = run_and_watch(["nb201", "--seeds", str(SEEDS), "--workers", "2", "--out", str(tmp_path)])
    whole = suites.load(suites.find("nb201"))
    with execution.opened(whole, tmp_path) as store:
        for unit in suites.units(whole):
            done = store.runs(unit.key())
            assert len(done) == SEEDS
            store.add(done[s % SEEDS]._replace(seed=s) for s in range(SEEDS, whole.seeds))
        total = execution.plan(whole, store).done
    full = run_and_watch(["nb201", "--out", str(tmp_path)])
    print(
        f"worker {few['worker']:.0f} MB; driver {few['driver']:.0f} MB with {SEEDS} seeds, "
        f"{full['driver']:.0f} MB with {total} runs"
    )
    assert total == 18_000
    assert few["worker"] > 0
    assert max(few["worker"], few["driver"], full["driver"]) < PEAK


PROGRAM = """
from pathlib import Path
from nasbench_evo import suite as suites
from nasbench_evo.engines import Task, execute
from nasbench_evo.runner import Budget
from dataclasses import replace

def resident():
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1024

units = [replace(u, budget=Budget(20)) for u in suites.units(suites.load(suites.find("nb201")))]
for unit in units[:: len(units) // 3]:  # the rows of every cell, that searches make as they go
    evaluator = unit.evaluator()
    for index in range(len(evaluator.table.correct[0])):
        cell = evaluator.space.from_index(index)
        evaluator.cells[cell], evaluator.mixtures[cell]
for run in range(10_001):
    if run in (0, 2_000, 4_000, 6_000, 8_000, 10_000):
        print(run, resident(), flush=True)
    outcome = execute(Task(units[run % len(units)], "key", (run,)))
    assert not outcome.failures
"""


def test_memory_is_flat_over_10_000_runs() -> None:
    """Once every cell of the table was asked for: the evaluators keep what they answered."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {int(n): float(mb) for n, mb in (line.split() for line in done.stdout.splitlines())}
    print(", ".join(f"{n} runs: {mb:.1f} MB" for n, mb in found.items()))
    assert found[10_000] - found[2_000] < GROWTH
    assert found[10_000] < PEAK
