"""Suites that train, killed in every way: no orphan, no training lost, none made twice."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from faults.fault_support import Rows, command, export_of_trainings, rows, rows_after_a_kill, start

pytestmark = pytest.mark.torch

KILLS = int(os.environ.get("FAULT_KILLS", "3"))  # docs/reliability.md: 50
GRACE = 5.0  # seconds that workers have to end after their driver
SUITE = """
name = "deaths"
evaluator = "standalone"
datasets = ["digits"]
seeds = {seeds}
evaluations = {evaluations}
checkpoints = [{evaluations}]
[evaluator_set]
epochs = {epochs}
channels = 2
cells = 1
train_size = {images}
batch_size = 20
[[rows]]
algorithm = "random_search"
[[rows]]
algorithm = "eigen"
set = {{ population_size = 2, patience = 2 }}
"""
NO_DASK = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="needs the extra [dask]"
)


def write(folder: Path, seeds: int, evaluations: int, epochs: int, images: int) -> Path:
    file = folder / "deaths.toml"
    file.write_text(
        SUITE.format(seeds=seeds, evaluations=evaluations, epochs=epochs, images=images)
    )
    return file


def living(session: int) -> Iterator[int]:
    """Yield the processes of a session that run, zombies left out."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, _, _, own = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            except (OSError, ValueError):
                continue
            if int(own) == session and state != "Z":
                yield int(folder.name)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def end(session: int) -> None:
    for process in living(session):
        os.kill(process, signal.SIGKILL)


def no_orphan(words: list[str], busy: Callable[[], bool], number: signal.Signals) -> None:
    """Start a command, send its driver a signal once it is busy, and look who is left."""
    driver = start(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert wait_until(lambda: busy() and len(list(living(driver.pid))) > 2, 120)
        driver.send_signal(number)
        driver.wait(30)
        left = wait_until(lambda: not list(living(driver.pid)), GRACE)
        assert left, f"{list(living(driver.pid))} outlive their driver"
    finally:
        driver.kill()
        end(driver.pid)
        driver.wait()


slow = pytest.mark.slow
SIGNALS = [
    signal.SIGKILL,
    pytest.param(signal.SIGHUP, marks=slow),
    pytest.param(signal.SIGQUIT, marks=slow),
    pytest.param(signal.SIGABRT, marks=slow),
]


@pytest.mark.parametrize("number", SIGNALS)
def test_run_leaves_no_orphan(tmp_path: Path, number: signal.Signals) -> None:
    workers = "2" if number is signal.SIGKILL else "1"
    words = command(write(tmp_path, 4, 500, 20, 200), tmp_path / "out", "--workers", workers)
    journals = lambda: len(list(tmp_path.rglob("journal.jsonl"))) >= int(workers)  # noqa: E731
    no_orphan(words, journals, number)


@NO_DASK
@pytest.mark.slow
def test_run_on_dask_leaves_no_orphan(tmp_path: Path) -> None:
    suite = write(tmp_path, 4, 500, 20, 200)
    words = command(suite, tmp_path / "out", "--workers", "2", "--engine", "dask")
    journals = lambda: len(list(tmp_path.rglob("journal.jsonl"))) >= 2  # noqa: E731
    no_orphan(words, journals, signal.SIGKILL)


@pytest.mark.slow
def test_table_build_leaves_no_orphan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASBENCH_EVO_TABLES", str(tmp_path / "tables"))
    log = tmp_path / "own.jsonl"
    words = [sys.executable, "-m", "nasbench_evo", "table", "build", "--name", "own", "--cells"]
    words += ["500", "--workers", "2", "--log", str(log), "--evaluator-set", "jointly=1"]
    busy = lambda: log.exists() and log.read_bytes().count(b"\n") > 2  # noqa: E731
    no_orphan(words, busy, signal.SIGKILL)


@pytest.mark.slow
def test_check_leaves_no_orphan() -> None:
    words = [sys.executable, "-m", "nasbench_evo", "check", "nb201", "--workers", "2"]
    no_orphan(words, lambda: True, signal.SIGKILL)


@pytest.mark.slow
def test_kills_of_a_suite_that_trains(tmp_path: Path) -> None:
    """One to three kills a suite, of the driver alone: its workers must not write on."""
    rng = np.random.default_rng(0)
    suite = write(tmp_path, seeds=2 if KILLS < 50 else 4, evaluations=12, epochs=2, images=40)
    options = ["--workers", "2"]
    begun = time.monotonic()
    words = command(suite, tmp_path / "whole", *options)
    assert subprocess.run(words, capture_output=True, timeout=300).returncode == 0
    length = time.monotonic() - begun
    whole = export_of_trainings(tmp_path / "whole")
    kills = completed = 0
    while kills < KILLS:
        out, seen = tmp_path / f"out-{completed}", Rows()
        for _ in range(rng.integers(1, 4)):
            driver = start(
                command(suite, out, *options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            started = time.monotonic()
            try:
                driver.wait(timeout=rng.uniform(0.2, 1.0) * length)
                length = min(length, time.monotonic() - started)  # too late for a kill
                break
            except subprocess.TimeoutExpired:
                driver.kill()  # and no other process: the next driver starts at once
                kills += 1
            driver.wait()
            after = rows_after_a_kill(out)
            assert seen.items() <= after.items()
            seen = after
        done = subprocess.run(
            command(suite, out, *options), capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        assert "failed" not in done.stderr
        assert seen.items() <= rows(out).items()
        assert export_of_trainings(out) == whole
        completed += 1
    print(f"{kills} kills, {completed} suites of {len(whole)} runs made whole")
