"""Workers that die: what they had in flight is repeated, a run that kills three fails alone."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import subprocess
import sys
from collections import Counter, deque
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import faulty
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_evo import execution
from nasbench_evo import suite as suites
from nasbench_evo.engines import driver
from nasbench_evo.engines.tasks import Outcome, Task
from nasbench_evo.errors import InputError, RunsFailed
from nasbench_evo.execution import FAILURES, Report
from nasbench_evo.store import Record, Store

NO_DASK = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="needs the extra [dask]"
)
ENGINES = [
    pytest.param("processes", marks=pytest.mark.slow),
    pytest.param("dask", marks=[pytest.mark.slow, NO_DASK]),
]


def seeded() -> random.Random:
    return random.Random(0)  # noqa: S311  # picks whose turn it is


class Died(Exception):
    """What a future of the fake workers raises."""


class FakeWorkers:
    """Workers without processes: a queue each, and a death that loses all that is in it."""

    lost = (Died,)

    def __init__(self, number: int, guilty: set[int], rng: random.Random) -> None:
        self.queues: list[deque[tuple[Task, Future[Outcome]]]] = [deque() for _ in range(number)]
        self.guilty, self.rng = guilty, rng
        self.executed: Counter[int] = Counter()
        self.killed: bool | None = None

    def slots(self) -> int:
        if any(self.queues):  # something happens whenever the driver looks
            self._step(self.rng.choice([q for q in self.queues if q]))
        return len(self.queues)

    def _step(self, chosen: deque[tuple[Task, Future[Outcome]]]) -> None:
        task, future = chosen[0]
        self.executed.update(task.seeds)
        if not self.guilty.intersection(task.seeds):
            chosen.popleft()
            future.set_result(Outcome(task, [_record(seed) for seed in task.seeds], []))
            return
        lost = list(chosen)
        chosen.clear()
        for _, future in lost:
            future.set_exception(Died("signal 9"))

    def submit(self, task: Task) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        min(self.queues, key=len).append((task, future))
        return future

    def close(self, *, kill: bool) -> None:
        self.killed = kill


def driven(workers: FakeWorkers, tasks: list[Task]) -> list[Outcome]:
    """Drive without pauses: fake workers do something whenever they are asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "_LOOK_AGAIN", 0.0)
        return list(driver.drive(workers, tasks))


def _record(seed: int) -> Record:
    return Record("k", seed, "[]", 1.0, 1.0, "", 0.0, "[]", "{}")


@pytest.fixture(scope="module")
def unit() -> suites.Unit:
    return suites.units(suites.load(suites.find("nb201")))[0]


@given(data=st.data(), number=st.integers(1, 4), per_task=st.integers(1, 4))
@settings(max_examples=60)
def test_the_guilty_fail_alone_whatever_the_order(
    unit: suites.Unit, data: st.DataObject, number: int, per_task: int
) -> None:
    guilty = data.draw(st.sets(st.integers(0, 19)))
    tasks = [
        Task(unit, "k", tuple(range(i, min(i + per_task, 20)))) for i in range(0, 20, per_task)
    ]
    workers = FakeWorkers(number, guilty, data.draw(st.randoms(use_true_random=False)))
    outcomes = driven(workers, tasks)
    finished = [record.seed for outcome in outcomes for record in outcome.records]
    failed = [seed for outcome in outcomes for seed, _ in outcome.failures]
    assert sorted(finished) == sorted(set(range(20)) - guilty)
    assert sorted(failed) == sorted(guilty)
    assert all(workers.executed[seed] <= driver.STRIKES for seed in guilty)
    assert workers.killed is False


def test_the_log_of_a_failed_run_says_what_happened(unit: suites.Unit) -> None:
    workers = FakeWorkers(2, {3}, seeded())
    outcomes = driven(workers, [Task(unit, "k", (2, 3, 4))])
    (failure,) = [failure for outcome in outcomes for failure in outcome.failures]
    assert failure == (3, "The worker died each of the 3 times that this ran.\nsignal 9")


class Raising(FakeWorkers):
    """Workers whose every task raises; None: the future is cancelled."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__(1, set(), seeded())
        self.error = error

    def _step(self, chosen: deque[tuple[Task, Future[Outcome]]]) -> None:
        _, future = chosen.popleft()
        if self.error is None:
            future.cancel()
        else:
            future.set_exception(self.error)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (InputError("no such device"), InputError, "no such device"),
        (ModuleNotFoundError("No module named 'mine'"), InputError, "cannot be loaded .*'mine'"),
        (None, RunsFailed, "connection to the scheduler was lost"),
    ],
)
def test_what_ends_a_suite_ends_the_workers(
    unit: suites.Unit, error: Exception | None, kind: type[Exception], message: str
) -> None:
    workers = Raising(error)
    with pytest.raises(kind, match=message):
        driven(workers, [Task(unit, "k", (seed,)) for seed in range(9)])
    assert workers.killed is True


def test_trainings_are_not_queued_behind_each_other(unit: suites.Unit) -> None:
    class Counting(FakeWorkers):
        most = 0

        def submit(self, task: Task) -> Future[Outcome]:
            future = super().submit(task)
            self.most = max(self.most, *(len(q) for q in self.queues))
            return future

    training = replace(unit, training=object())  # type: ignore[arg-type]  # any will do
    for kind, most in ((unit, 2), (training, 1)):
        workers = Counting(3, set(), seeded())
        assert len(driven(workers, [Task(kind, "k", (seed,)) for seed in range(20)])) == 20
        assert workers.most == most


def load(tmp_path: Path, **values: Any) -> suites.Suite:
    file = tmp_path / "faulty.toml"
    file.write_text(faulty.SUITE.format(**{"deaths": 1000, "pause": 0.0, **values}))
    return suites.load(file)


def run(
    suite: suites.Suite, folder: Path, engine: str, progress: Any = lambda runs: None
) -> Report:
    with execution.opened(suite, folder) as store:
        work = execution.plan(suite, store)
        return execution.execute(work, store, engine=engine, workers=2, progress=progress)


def content(suite: suites.Suite, folder: Path) -> dict[tuple[str, int], Record]:
    """All that is stored of the runs but how long they took."""
    with Store(folder) as store:
        records = [record for unit in suites.units(suite) for record in store.runs(unit.key())]
    return {(r.unit, r.seed): r._replace(wall_seconds=0.0) for r in records}


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "faults"
    folder.mkdir()
    monkeypatch.setenv(faulty.FOLDER, str(folder))
    return folder


def without_faults(
    suite: suites.Suite, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[tuple[str, int], Record]:
    monkeypatch.delenv(faulty.FOLDER)
    assert not run(suite, folder, "serial").failures
    return content(suite, folder)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_death_costs_only_what_was_in_flight(
    tmp_path: Path, faults: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    suite = load(tmp_path, seeds=50, guilty=7, deaths=2)
    report = run(suite, tmp_path / "out", engine)
    assert (report.finished, report.failures) == (100, [])
    assert len(list(faults.glob("death-*"))) == 2
    assert not (tmp_path / "out" / FAILURES).exists()
    found = content(suite, tmp_path / "out")
    assert found == without_faults(suite, tmp_path / "whole", monkeypatch)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_kills_three_workers_fails_alone(
    tmp_path: Path, faults: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    suite = load(tmp_path, seeds=30, guilty=7)
    report = run(suite, tmp_path / "out", engine)
    assert report.finished == 59
    ((label, dataset, seed, text),) = report.failures
    assert (dataset, seed) == ("cifar10", 7)
    assert label.startswith("faulty (")
    assert "died each of the 3 times" in text
    assert len(list(faults.glob("death-*"))) == 3
    log = (tmp_path / "out" / FAILURES).read_text()
    assert log.startswith(f"FAILED {label}, cifar10, seed 7\nThe worker died")
    found = content(suite, tmp_path / "out")
    whole = without_faults(suite, tmp_path / "whole", monkeypatch)
    assert whole.keys() - found.keys() == {(suites.units(suite)[1].key(), 7)}
    assert found == {key: whole[key] for key in found}
    report = run(suite, tmp_path / "out", "serial")  # cured: the same command goes on
    assert (report.finished, report.failures) == (1, [])
    assert not (tmp_path / "out" / FAILURES).exists()
    assert content(suite, tmp_path / "out") == whole


@pytest.mark.parametrize("engine", ENGINES)
def test_an_algorithm_that_always_kills_leaves_the_others_alone(
    tmp_path: Path, faults: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    suite = load(tmp_path, seeds=3, guilty=-2)
    report = run(suite, tmp_path / "out", engine)
    assert report.finished == 3
    assert sorted(seed for _, _, seed, _ in report.failures) == [0, 1, 2]
    assert {label.partition(" ")[0] for label, _, _, _ in report.failures} == {"faulty"}
    whole = without_faults(suite, tmp_path / "whole", monkeypatch)
    found = content(suite, tmp_path / "out")
    assert found == {key: whole[key] for key in found}


@pytest.mark.parametrize("engine", ENGINES)
def test_kill_9_of_workers_from_outside_changes_nothing(
    tmp_path: Path, faults: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    suite = load(tmp_path, seeds=60, guilty=-1, pause=0.002)
    killed: list[int] = []

    def progress(runs: int) -> None:
        fresh = [pid for pid in faulty.workers(faults) if pid not in killed]
        if fresh and len(killed) < 3:
            os.kill(fresh[0], signal.SIGKILL)
            killed.append(fresh[0])

    report = run(suite, tmp_path / "out", engine, progress)
    assert (report.finished, report.failures) == (120, [])
    assert len(killed) == 3
    found = content(suite, tmp_path / "out")
    assert found == without_faults(suite, tmp_path / "whole", monkeypatch)


@pytest.mark.slow
def test_the_command_reports_what_is_missing(tmp_path: Path, faults: Path) -> None:
    load(tmp_path, seeds=30, guilty=7)
    out = tmp_path / "out"
    command = ["run", str(tmp_path / "faulty.toml"), "--out", str(out), "--workers", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "nasbench_evo", *command],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,  # where faulty.py lies
    )
    assert done.returncode == RunsFailed.exit_code == 3
    assert "29/30" in done.stdout
    said = " ".join(done.stdout.split())  # as it was before it was broken into lines
    assert "29 of 30 runs finished, and every figure is of those." in said
    assert "1 of 60 runs failed; the others are stored" in done.stderr
    assert f"All: {out / FAILURES}" in done.stderr
    assert "29 of 30 runs finished" in (out / "summary.json").read_text()
