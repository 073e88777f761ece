"""Suites on disk: resume, engines, refusals, kills."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from support import interruptible, loaded

from nasbench_evo import algorithms, engines, execution
from nasbench_evo import suite as suites
from nasbench_evo.engines import tasks
from nasbench_evo.errors import DataError, InputError, RunsFailed
from nasbench_evo.store import Record, Store

SUITE = """
name = "tiny"
datasets = ["cifar10", "ImageNet16-120"]
seeds = 30
evaluations = 40
checkpoints = [10, 40]
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


@pytest.fixture
def suite(tmp_path: Path) -> suites.Suite:
    return loaded(tmp_path, SUITE)


def run(suite: suites.Suite, folder: Path, *, engine: str = "serial", workers: int = 1) -> int:
    with execution.opened(suite, folder) as store:
        work = execution.plan(suite, store)
        report = execution.execute(
            work, store, engine=engine, workers=workers, progress=lambda n: None
        )
        assert not report.failures
        return report.finished


def content(suite: suites.Suite, folder: Path) -> list[tuple[object, ...]]:
    """All that is stored of the runs but how long they took."""
    with Store(folder) as store:
        return [
            tuple(v for k, v in zip(Record._fields, record, strict=True) if k != "wall_seconds")
            for unit in suites.units(suite)
            for record in store.runs(unit.key())
        ]


def test_engines_and_workers_give_the_same_runs(suite: suites.Suite, tmp_path: Path) -> None:
    assert run(suite, tmp_path / "a") == 240
    assert run(suite, tmp_path / "b", engine="processes", workers=2) == 240
    assert content(suite, tmp_path / "a") == content(suite, tmp_path / "b")


def test_the_order_of_tasks_does_not_matter(suite: suites.Suite, tmp_path: Path) -> None:
    run(suite, tmp_path / "a")
    with execution.opened(suite, tmp_path / "b") as store:
        work = execution.plan(suite, store)
        work.tasks.reverse()
        execution.execute(work, store, engine="serial", workers=1, progress=lambda n: None)
    assert content(suite, tmp_path / "a") == content(suite, tmp_path / "b")


def test_what_is_done_is_never_repeated(suite: suites.Suite, tmp_path: Path) -> None:
    fewer = suite.model_copy(update={"seeds": 7})
    assert run(fewer, tmp_path / "a") == 7 * 8
    assert run(suite, tmp_path / "a") == 23 * 8
    assert run(suite, tmp_path / "a") == 0
    run(suite, tmp_path / "b")
    assert content(suite, tmp_path / "a") == content(suite, tmp_path / "b")


def test_fewer_seeds_than_there_are_is_refused(suite: suites.Suite, tmp_path: Path) -> None:
    run(suite, tmp_path / "a")
    with pytest.raises(InputError, match="holds 30 seeds"):
        run(suite.model_copy(update={"seeds": 7}), tmp_path / "a")


def test_a_changed_suite_is_refused_with_the_difference(
    suite: suites.Suite, tmp_path: Path
) -> None:
    run(suite, tmp_path / "a")
    changed = suite.model_copy(update={"evaluations": 41})
    with pytest.raises(InputError, match=r'- "evaluations": 40,\n\+ "evaluations": 41,'):
        run(changed, tmp_path / "a")
    with execution.opened(changed, tmp_path / "a", fresh=True) as store:
        assert execution.plan(changed, store).done == 0


def test_another_result_format_is_refused(suite: suites.Suite, tmp_path: Path) -> None:
    run(suite, tmp_path)
    with Store(tmp_path) as store:
        store.set_meta("result_format", "0")
    with pytest.raises(InputError, match="format 0"):
        run(suite, tmp_path)


def test_reports_of_another_suite_are_not_overwritten(suite: suites.Suite, tmp_path: Path) -> None:
    """Without a store, as in a fresh clone, the manifest says whose the folder is."""
    other = suites.identity(suite.model_copy(update={"evaluations": 99}))
    manifest = {"identity": other, "result_format": 1, "seeds": 5}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="another suite"):
        run(suite, tmp_path)


def test_a_folder_in_use_is_refused(suite: suites.Suite, tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(InputError, match="Another run"):
        run(suite, tmp_path)


def test_an_unwritable_folder_is_named(suite: suites.Suite, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write results to"):
        run(suite, tmp_path / "file")
    with pytest.raises(InputError, match="Cannot write results to"):
        run(suite, tmp_path / "file" / "below")


@pytest.mark.parametrize("size", [0, 1, 100, 5000])
def test_a_truncated_store_is_an_error_or_empty(
    suite: suites.Suite, tmp_path: Path, size: int
) -> None:
    run(suite, tmp_path)
    file = tmp_path / "runs.sqlite"
    whole = file.read_bytes()
    file.write_bytes(whole[:size])
    if size < 2:  # what a kill during creation may leave: SQLite sees no database yet
        assert run(suite, tmp_path) == 240
    else:
        with pytest.raises(DataError, match=r"runs\.sqlite is damaged"):
            run(suite, tmp_path)


def test_a_run_that_raises_fails_alone(
    suite: suites.Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = tasks.search

    def search(algorithm, evaluator, *, seed, **options):  # type: ignore[no-untyped-def]
        if seed == 3:
            raise RuntimeError("boom")
        return searched(algorithm, evaluator, seed=seed, **options)

    monkeypatch.setattr(tasks, "search", search)
    with execution.opened(suite, tmp_path) as store:
        work = execution.plan(suite, store)
        report = execution.execute(work, store, engine="serial", workers=1, progress=lambda n: None)
    assert report.finished == 240 - 8
    assert len(report.failures) == 8
    assert "boom" in report.failures[0][3]


def start(folder: Path, out: Path) -> subprocess.Popen[str]:
    """Start the command in a process group of its own, as a terminal does."""
    command = [
        sys.executable,
        "-m",
        "nasbench_evo",
        "run",
        str(folder / "tiny.toml"),
        "--out",
        str(out),
        "--workers",
        "2",
    ]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=interruptible,
    )


def stored(out: Path) -> int:
    """Return how many runs another process has stored so far."""
    if not (out / "runs.sqlite").exists():
        return 0
    try:
        database = sqlite3.connect(f"file:{out / 'runs.sqlite'}?mode=ro", uri=True)
        return int(database.execute("SELECT count(*) FROM runs").fetchone()[0])
    except sqlite3.Error:
        return 0


def wait_until_some_are_stored(process: subprocess.Popen[str], out: Path) -> int:
    for _ in range(600):
        done = stored(out)
        if done:
            return done
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(process.communicate())


@pytest.fixture
def longer(tmp_path: Path) -> suites.Suite:
    text = SUITE.replace("seeds = 30", "seeds = 600").replace(
        "evaluations = 40", "evaluations = 300"
    )
    return loaded(tmp_path, text)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
@pytest.mark.slow
def test_an_interruption_keeps_what_is_done_and_says_how_to_go_on(
    longer: suites.Suite, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    process = start(tmp_path, tmp_path / "out")
    wait_until_some_are_stored(process, tmp_path / "out")
    if number is signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == ""
    assert "Traceback" not in err
    assert f"nasbench-evo run {tmp_path / 'tiny.toml'} --out {tmp_path / 'out'}" in err
    with Store(tmp_path / "out") as store:
        work = execution.plan(longer, store)
    assert 0 < work.done < work.total


@pytest.mark.slow
def test_kill_9_at_random_points_loses_nothing(longer: suites.Suite, tmp_path: Path) -> None:
    smaller = longer.model_copy(update={"seeds": 200})
    (tmp_path / "tiny.toml").write_text(
        (tmp_path / "tiny.toml").read_text().replace("seeds = 600", "seeds = 200")
    )
    out = tmp_path / "out"
    for attempt in range(4):
        process = start(tmp_path, out)
        before = wait_until_some_are_stored(process, out)
        time.sleep(0.13 * attempt)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert stored(out) >= before
    run(smaller, out, engine="processes", workers=2)
    run(smaller, tmp_path / "whole")
    assert content(smaller, out) == content(smaller, tmp_path / "whole")


@pytest.mark.parametrize("text", ["{", "[]", '{"seeds": "x"}'])
def test_a_damaged_manifest_says_so(text: str, suite: suites.Suite, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with (
        pytest.raises(DataError, match=r"manifest.json is damaged"),
        execution.opened(suite, tmp_path),
    ):
        pass


def stop_after_first(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Do something to the files once the first task is done."""
    done = engines.tasks.execute

    def execute(task: engines.Task) -> engines.Outcome:
        outcome = done(task)
        act()
        return outcome

    monkeypatch.setattr(engines, "execute", execute)


@pytest.mark.parametrize("lost", ["folder", "moved", ".lock", "runs.sqlite"])
def test_files_that_vanish_under_a_run_are_named_at_once(
    lost: str, suite: suites.Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def act() -> None:
        if lost == "folder":
            shutil.rmtree(out)
        elif lost == "moved":
            out.rename(tmp_path / "elsewhere")
        else:
            (out / lost).unlink()

    stop_after_first(monkeypatch, act)
    with pytest.raises(RunsFailed, match="deleted, moved or replaced while") as caught:
        run(suite, out)
    assert caught.value.exit_code == 3
    assert not (out / "summary.csv").exists()


@pytest.mark.slow
def test_workers_end_when_the_folder_is_gone(tmp_path: Path, suite: suites.Suite) -> None:
    """Also while nothing finishes: the driver looks every few seconds."""
    longer = suite.model_copy(update={"seeds": 2000, "evaluations": 3000, "checkpoints": [3000]})
    out, started = tmp_path / "out", time.monotonic()
    threading.Timer(3, lambda: out.rename(tmp_path / "elsewhere")).start()
    with pytest.raises(RunsFailed, match="moved"):
        run(longer, out, engine="processes", workers=1)
    assert time.monotonic() - started < 30


def test_fresh_deletes_only_what_runs_wrote(suite: suites.Suite, tmp_path: Path) -> None:
    out = tmp_path / "out"
    own = [out / "checkpoints" / "mine.txt", out / "checkpoints" / "0123" / "seed-0" / "a.pt"]
    own.append(out / "notes.md")
    for file in own:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    with pytest.raises(InputError, match="is no results folder"):
        execution.opened(suite, out, fresh=True).__enter__()
    run(suite, out)
    ours = out / "checkpoints" / ("0" * 16) / "seed-0"
    ours.mkdir(parents=True)
    for name in ("journal.jsonl", "journal.jsonl.lock", "x.pt"):
        (ours / name).write_text("")
    with execution.opened(suite, out, fresh=True) as store:
        assert execution.plan(suite, store).done == 0
    assert not ours.parent.exists()
    assert all(file.read_text() == "mine" for file in own)


def test_a_damaged_store_is_never_advised_to_be_destroyed(
    suite: suites.Suite, tmp_path: Path
) -> None:
    run(suite, tmp_path)
    (tmp_path / "runs.sqlite").write_bytes(b"x" * 5000)
    with pytest.raises(DataError, match="Move it away to keep it") as caught:
        run(suite, tmp_path)
    assert "--fresh" not in str(caught.value)


@pytest.mark.parametrize("name", [".", "..", ".hidden", "-x", "a/b", "a" * 3000, "a\nb", "a\x1bb"])
def test_names_that_are_no_folders_are_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text(SUITE.replace('"tiny"', json.dumps(name)))
    with pytest.raises(InputError, match="name: "):
        suites.load(file)


def test_runs_of_other_code_are_said_and_refused_when_strict(
    suite: suites.Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(suite.model_copy(update={"seeds": 1}), tmp_path)
    run(suite.model_copy(update={"seeds": 2}), tmp_path)
    source = inspect.getsourcefile

    def edited(made: object) -> str | None:
        return str(tmp_path / "edited.py") if made is algorithms.get("eigen") else source(made)  # type: ignore[arg-type]

    (tmp_path / "edited.py").write_text("another source")
    monkeypatch.setattr(inspect, "getsourcefile", edited)
    with pytest.raises(InputError, match=r"the source of eigen.*--strict"):
        execution.opened(suite, tmp_path, strict=True).__enter__()
    with pytest.warns(UserWarning, match=r"made by other code \(the source of eigen\)"):
        run(suite.model_copy(update={"seeds": 3}), tmp_path)
    with Store(tmp_path) as store:
        assert len(execution.codes(store)) == 2
