"""SIGTERM and Ctrl-C at random moments, two drivers on one folder, a clock that jumps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from faults.fault_support import (
    ROWS_PER_SEED,
    command,
    export,
    invoke,
    rows,
    rows_after_a_kill,
    start,
    write_suite,
)

SIGNALS = 10
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
# The wall clock of every process; the monotonic clock that durations are measured with cannot jump.
JUMPS = """
import time
wall = time.time
calls = 0
def jumping():
    global calls
    calls += 1
    return wall() + {forward} * (calls % 7) - {back} * (calls % 3)
time.time = jumping
"""


def until_stored(process: subprocess.Popen[str], out: Path, more_than: int = 0) -> None:
    """Wait until another process has stored some runs."""
    deadline = time.monotonic() + 120
    while len(rows(out)) <= more_than and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.mark.slow
def test_signals_at_random_moments(tmp_path: Path) -> None:
    """Each ends it in time, without a traceback once it runs; nothing is lost; it goes on."""
    suite, out = write_suite(tmp_path, seeds=300, evaluations=300), tmp_path / "out"
    rng, seen = np.random.default_rng(0), rows(out)
    for turn in range(SIGNALS):
        number = list(CODES)[turn % 2]
        process = start(command(suite, out, "--workers", "2"))
        until_stored(process, out, len(seen))
        time.sleep(rng.uniform(0, 0.5))
        if number is signal.SIGINT:  # as a terminal does
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        printed, err = process.communicate(timeout=60)
        assert process.returncode == CODES[number], err
        assert printed == ""
        assert "Traceback" not in err
        assert f"nasbench-evo run {suite} --out {out}" in err
        after = rows_after_a_kill(out)
        assert seen.items() <= after.items()
        assert len(after) > len(seen)
        seen = after
    print(f"{SIGNALS} signals; {len(seen)} of {300 * ROWS_PER_SEED} runs stored at the end")


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    suite, out = write_suite(tmp_path, seeds=300, evaluations=300), tmp_path / "out"
    process = start(command(suite, out, "--engine", "serial"))
    try:
        until_stored(process, out)
        for options in ([], ["--fresh"]):
            ended = invoke("run", str(suite), "--out", str(out), *options)
            assert ended.code == 2
            assert "Another run is using" in ended.err
        assert len(rows(out)) > 0
    finally:
        process.kill()
        process.communicate()
    fewer = write_suite(tmp_path, seeds=300, evaluations=300)
    ended = invoke("run", str(fewer), "--out", str(out), "--dry-run")
    assert ended.code == 0  # the lock goes with its process


@pytest.mark.slow
def test_two_drivers_at_once_make_one_store(tmp_path: Path) -> None:
    """Whoever is first runs; the other is refused or finds everything done."""
    suite, out = write_suite(tmp_path, seeds=30), tmp_path / "out"
    both = [start(command(suite, out, "--engine", "serial")) for _ in range(2)]
    errors = [process.communicate()[1] for process in both]
    codes = [process.returncode for process in both]
    assert 0 in codes, errors
    assert set(codes) <= {0, 2}
    for code, err in zip(codes, errors, strict=True):
        assert "Traceback" not in err
        assert code == 0 or "Another run is using" in err
    assert len(rows(out)) == 30 * ROWS_PER_SEED
    invoke("run", str(suite), "--out", str(tmp_path / "whole"), "--engine", "serial")
    assert export(out) == export(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(
    "jumps",
    [
        {"forward": 86_400, "back": 0},
        {"forward": 0, "back": 86_400},
        {"forward": 3e8, "back": 1e9},
    ],
    ids=["days on", "days back", "decades"],
)
def test_a_clock_that_jumps(tmp_path: Path, jumps: dict[str, float]) -> None:
    suite, out = write_suite(tmp_path, seeds=30), tmp_path / "out"
    (tmp_path / "sitecustomize.py").write_text(JUMPS.format(**jumps))
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    shown = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time.__name__)"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert shown.stdout == "jumping\n"
    process = start(command(suite, out, "--workers", "2"), env={**os.environ, "PYTHONPATH": path})
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert "Traceback" not in err
    invoke("run", str(suite), "--out", str(tmp_path / "whole"), "--engine", "serial")
    assert export(out) == export(tmp_path / "whole")
