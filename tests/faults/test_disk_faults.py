"""A full disk, a folder that cannot be written: a clean end, and the same command goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from faults.fault_support import (
    ROWS_PER_SEED,
    command,
    export,
    invoke,
    rows,
    write_suite,
)

SEEDS = 60
PROGRAM = """
import resource, runpy, sys
sys.dont_write_bytecode = True  # CPython keeps a cut .pyc of a module for everybody
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.argv = ["nasbench-evo", *sys.argv[2:]]
runpy.run_module("nasbench_evo", run_name="__main__")
"""


def _mounts() -> bool:
    """Whether a file system of one's own can be mounted in a name space of one's own."""
    if shutil.which("unshare") is None:
        return False
    done = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True
    )
    return done.returncode == 0


MOUNTS = pytest.mark.skipif(not _mounts(), reason="tmpfs cannot be mounted here (unshare -rm)")


def complains(err: str) -> bool:
    """Whether a message says what could not be written and what to do, and shows no traceback."""
    return "Cannot write" in err and "--out" in err and "Traceback" not in err


def whole(suite: Path, out: Path) -> str:
    assert invoke("run", str(suite), "--out", str(out), "--engine", "serial").code == 0
    return export(out)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0, 5_000, 40_000, 200_000])
def test_a_file_that_may_not_grow(tmp_path: Path, limit: int) -> None:
    """The limit hits while the store is made, while runs are stored, and in a report file."""
    suite, out = write_suite(tmp_path, seeds=SEEDS), tmp_path / "out"
    words = command(suite, out, "--engine", "serial")[3:]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(limit), *words], capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert complains(done.stderr), done.stderr
    kept = rows(out)
    assert len(kept) < SEEDS * ROWS_PER_SEED
    again = whole(suite, out)
    assert kept.items() <= rows(out).items()
    assert again == whole(suite, tmp_path / "whole")


@MOUNTS
@pytest.mark.slow
@pytest.mark.parametrize("size", [16, 100, 300, 420, 440])  # kB
def test_a_full_disk(tmp_path: Path, size: int) -> None:
    """A file system of that size; what fitted is kept and goes on elsewhere."""
    suite, disk, kept = write_suite(tmp_path, seeds=SEEDS), tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    words = " ".join(command(suite, disk / "out", "--workers", "2"))
    script = f"""
        mount -t tmpfs -o size={size}k none {disk} || exit 99
        {words}; code=$?
        cp -r {disk}/out {kept}
        exit $code
    """
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2, done.stderr
    assert complains(done.stderr), done.stderr
    before = rows(kept)
    print(f"{size} kB: {len(before)} of {SEEDS * ROWS_PER_SEED} runs fitted")
    again = whole(suite, kept)
    assert before.items() <= rows(kept).items()
    assert again == whole(suite, tmp_path / "whole")


@MOUNTS
@pytest.mark.slow
def test_a_disk_that_is_full_when_the_report_is_written(tmp_path: Path) -> None:
    suite, out, disk = write_suite(tmp_path, seeds=SEEDS), tmp_path / "out", tmp_path / "disk"
    stored = whole(suite, out)
    disk.mkdir()
    for name in ("summary.csv", "summary.json", "regret.png", "regret.svg", "manifest.json"):
        (out / name).unlink()
    script = f"""
        mount -t tmpfs -o size=$(($(stat -c %s {out}/runs.sqlite) / 1024 + 100))k none {disk} &&
        cp -r {out} {disk}/out || exit 99
        {" ".join(command(suite, disk / "out", "--engine", "serial"))}; code=$?
        rm -r {out}; cp -r {disk}/out {out}
        exit $code
    """
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert complains(done.stderr), done.stderr
    assert not (out / "manifest.json").exists()
    assert export(out) == stored
    assert whole(suite, out) == stored
    assert (out / "manifest.json").exists()


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Path, Path]:
    """A suite and its results folder, half done."""
    suite = write_suite(tmp_path, seeds=5)
    whole(suite, tmp_path / "out")
    return write_suite(tmp_path, seeds=8), tmp_path / "out"


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not stop this user")
@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_a_folder_without_permission(finished: tuple[Path, Path], mode: int) -> None:
    suite, out = finished
    out.chmod(mode)
    try:
        for folder in (out, out / "below"):
            ended = invoke("run", str(suite), "--out", str(folder), "--engine", "serial")
            assert ended.code == 2
            assert complains(ended.err)
    finally:
        out.chmod(0o755)
    assert whole(suite, out) == whole(suite, out.parent / "whole")


@MOUNTS
def test_a_read_only_file_system(finished: tuple[Path, Path]) -> None:
    suite, out = finished
    words = command(suite, out, "--engine", "serial")
    mount = f"mount --bind {out} {out} && mount -o remount,bind,ro {out} || exit 99"
    script = f"{mount}; {' '.join(words)}"
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert complains(done.stderr), done.stderr
    assert whole(suite, out) == whole(suite, out.parent / "whole")
