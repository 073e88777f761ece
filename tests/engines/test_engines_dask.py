"""The Dask engine: clusters of real processes on loopback, and what docs/distributed.md shows."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faulty
import pytest
from support import interruptible, loaded

from nasbench_evo import execution
from nasbench_evo import suite as suites
from nasbench_evo.engines import on_dask
from nasbench_evo.engines.tasks import Outcome, Task
from nasbench_evo.errors import InputError, RunsFailed
from nasbench_evo.evaluators.specifications import TrainingOptions
from nasbench_evo.store import Record, Store

distributed = pytest.importorskip("distributed", reason="needs the extra [dask]")

# Schedulers of these tests listen on loopback without certificates, which is warned of.
pytestmark = pytest.mark.filterwarnings("ignore:Whoever reaches the scheduler")
PAGE = (Path(__file__).parents[2] / "docs" / "distributed.md").read_text()
SUITE = """
name = "tiny"
datasets = ["cifar10", "ImageNet16-120"]
seeds = 45
evaluations = 60
checkpoints = [60]
[[rows]]
algorithm = "regularized_evolution"
[[rows]]
algorithm = "eg_nas"
[[rows]]
algorithm = "genetic_nas"
"""


@pytest.fixture(scope="module", autouse=True)
def _collected() -> Iterator[None]:
    """End what clusters leave in cycles here, not in the midst of another file's test."""
    yield
    gc.collect()


@pytest.fixture
def suite(tmp_path: Path) -> suites.Suite:
    return loaded(tmp_path, SUITE)


def run(
    suite: suites.Suite, folder: Path, engine: str, *, progress: Any = lambda n: None, **more: Any
) -> int:
    with execution.opened(suite, folder) as store:
        work = execution.plan(suite, store)
        report = execution.execute(work, store, engine=engine, workers=2, progress=progress, **more)
    assert not report.failures
    return report.finished


def content(suite: suites.Suite, folder: Path) -> list[Record]:
    """All that is stored of the runs but how long they took."""
    with Store(folder) as store:
        records = [record for unit in suites.units(suite) for record in store.runs(unit.key())]
    return [record._replace(wall_seconds=0.0) for record in records]


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@contextlib.contextmanager
def command(*words: str, folder: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a dask command in the background, its group ended at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=interruptible,
        cwd=folder,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@contextlib.contextmanager
def cluster(*worker: str, folder: Path | None = None) -> Iterator[str]:
    """A scheduler and workers, started by their commands; yields the address."""
    address = f"tcp://127.0.0.1:{free_port()}"
    scheduler = ("scheduler", "--host", address, "--dashboard-address", "127.0.0.1:0")
    with command(*scheduler), command("worker", address, "--no-dashboard", *worker, folder=folder):
        yield address


@pytest.mark.slow
def test_a_local_cluster_gives_what_the_serial_engine_gives(
    suite: suites.Suite, tmp_path: Path
) -> None:
    assert run(suite, tmp_path / "dask", "dask") == 270
    assert run(suite, tmp_path / "serial", "serial") == 270
    assert content(suite, tmp_path / "dask") == content(suite, tmp_path / "serial")


@pytest.mark.slow
def test_a_scheduler_whose_workers_are_killed_gives_the_same(
    suite: suites.Suite, tmp_path: Path
) -> None:
    """Here the scheduler is not ours: it submits lost tasks itself, three times."""
    killed: list[int] = []
    with cluster("--nworkers", "2", "--nthreads", "1") as address:

        def progress(runs: int) -> None:
            if len(killed) < 2:
                with distributed.Client(address, set_as_default=False) as client:
                    # One that was just killed may still be listed, and does not answer.
                    pids = client.run(os.getpid, on_error="ignore").values()
                alive = [pid for pid in pids if pid not in killed]
                if alive:
                    os.kill(alive[0], signal.SIGKILL)
                    killed.append(alive[0])

        finished = run(suite, tmp_path / "dask", "dask", progress=progress, scheduler=address)
    assert (finished, len(killed)) == (270, 2)
    run(suite, tmp_path / "serial", "serial")
    assert content(suite, tmp_path / "dask") == content(suite, tmp_path / "serial")


@pytest.mark.slow
def test_a_lost_scheduler_ends_the_suite_and_keeps_what_is_done(
    suite: suites.Suite, tmp_path: Path
) -> None:
    done: list[int] = []
    with cluster("--nworkers", "1", "--nthreads", "1") as address:
        scheduler = pid_of_scheduler(address)

        def progress(runs: int) -> None:
            if not done:
                os.kill(scheduler, signal.SIGKILL)
            done.append(runs)

        with pytest.raises(RunsFailed, match="connection to the scheduler was lost"):
            run(suite, tmp_path, "dask", progress=progress, scheduler=address)
    assert 0 < stored(tmp_path) == sum(done) < 270


def pid_of_scheduler(address: str) -> int:
    with distributed.Client(address, set_as_default=False) as client:
        return int(client.run_on_scheduler(os.getpid))


@pytest.mark.slow
def test_workers_of_other_versions_end_the_suite(
    suite: suites.Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {**on_dask.versions(False), "nasbench-evo": "99.0"}
    monkeypatch.setattr(on_dask, "versions", lambda trains: wanted)  # of the driver only
    with pytest.raises(InputError, match=r"has nasbench-evo \S+ \(driver: 99\.0\)"):
        run(suite, tmp_path, "dask")


@pytest.mark.slow
def test_a_cluster_that_cannot_load_an_algorithm_says_so(tmp_path: Path) -> None:
    (tmp_path / "faulty.toml").write_text(
        faulty.SUITE.format(seeds=2, guilty=-1, deaths=0, pause=0.0)
    )
    suite = suites.load(tmp_path / "faulty.toml")
    with (
        cluster("--nworkers", "1", "--nthreads", "1", folder=tmp_path) as address,
        pytest.raises(InputError, match=r"cannot be loaded .*'faulty'.* PYTHONPATH"),
    ):
        run(suite, tmp_path, "dask", scheduler=address)


@pytest.mark.slow
def test_workers_with_several_threads_are_refused(suite: suites.Suite, tmp_path: Path) -> None:
    with cluster("--nthreads", "2") as address:
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=120)
        with pytest.raises(InputError, match=r"has 2\. Start them with --nworkers N --nthreads 1"):
            run(suite, tmp_path, "dask", scheduler=address)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_an_interruption_ends_the_cluster_and_keeps_what_is_done(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "tiny.toml").write_text(SUITE.replace("seeds = 45", "seeds = 4000"))
    words = ["run", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-m", "nasbench_evo", *words, "--engine", "dask", "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=interruptible,
    )
    for _ in range(600):
        if stored(tmp_path / "out"):
            break
        time.sleep(0.05)
    if number is signal.SIGINT:  # as a terminal does: to the whole group
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == ""
    assert "Traceback" not in err
    assert "Every finished run is kept" in err
    assert stored(tmp_path / "out") > 0
    for _ in range(100):  # no worker is left
        if not alive(process.pid):
            break
        time.sleep(0.1)
    assert not alive(process.pid)


def stored(folder: Path) -> int:
    """Return how many runs another process has stored so far."""
    try:
        database = sqlite3.connect(f"file:{folder / 'runs.sqlite'}?mode=ro", uri=True)
        return int(database.execute("SELECT count(*) FROM runs").fetchone()[0])
    except sqlite3.Error:
        return 0


def alive(group: int) -> list[str]:
    """Return the commands of a process group that still run; a zombie does not."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
    return found


def test_nobody_at_the_address(
    suite: suites.Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_dask, "_CONNECT", 0.3)
    for address in (f"tcp://127.0.0.1:{free_port()}", "nonsense://here"):
        with pytest.raises(InputError, match=f"No Dask scheduler answers at '{address}'"):
            run(suite, tmp_path, "dask", scheduler=address)


def test_workers_are_those_of_the_scheduler(suite: suites.Suite, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from nasbench_evo.cli import app

    words = ["run", str(tmp_path / "tiny.toml"), "--engine", "dask", "--workers", "3"]
    done = CliRunner().invoke(app, [*words, "--scheduler", "tcp://127.0.0.1:1"])
    assert isinstance(done.exception, InputError)
    assert "a scheduler has its own workers" in str(done.exception)


def test_other_versions_are_refused_and_named(suite: suites.Suite) -> None:
    unit = suites.units(suite)[0]
    task = Task(unit, unit.key(), (0,))
    own = on_dask.versions(False)
    assert on_dask.execute_checked(task, own).records[0].seed == 0
    with pytest.raises(InputError, match=rf"has numpy {own['numpy']} \(driver: 1.0\)\. Results"):
        on_dask.execute_checked(task, {**own, "numpy": "1.0"})
    assert set(on_dask.versions(True)) == {*own, "torch"}


def on_devices(unit: suites.Unit, *devices: str) -> Task:
    return Task(replace(unit, training=TrainingOptions("nasbench201", "{}", devices)), "k", (0,))


class FakeClient:
    """A scheduler with two workers, of which one declares some GPUs."""

    def __init__(self, gpus: int) -> None:
        self.asked: list[dict[str, int] | None] = []
        declared = {"GPU": gpus} if gpus else {}
        self.workers = {
            "a": {"name": "a", "nthreads": 1, "resources": declared},
            "b": {"name": "b", "nthreads": 1, "resources": {}},
        }

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        return {"workers": self.workers}

    def get_executor(self, pure: bool, resources: dict[str, int] | None = None) -> Any:
        def submit(*call: object) -> Future[Outcome]:
            self.asked.append(resources)
            return Future()

        return SimpleNamespace(submit=submit)


@pytest.mark.parametrize(
    ("gpus", "devices", "expected", "slots"),
    [
        (1, "cuda:0", {"GPU": 1}, 1),
        (4, "cuda", {"GPU": 1}, 4),
        (1, "cpu", None, 2),
        (0, "cuda:0", None, 2),
    ],
)
def test_trainings_on_cuda_ask_for_a_declared_gpu(
    suite: suites.Suite, monkeypatch: pytest.MonkeyPatch, gpus: int, devices: str,
    expected: dict[str, int] | None, slots: int,
) -> None:  # fmt: skip
    client = FakeClient(gpus)
    monkeypatch.setattr(on_dask.DaskWorkers, "_remote", lambda self, scheduler: client)
    training = TrainingOptions("nasbench201", "{}", (devices,))
    task = Task(replace(suites.units(suite)[0], training=training), "k", (0,))
    workers = on_dask.DaskWorkers(1, "tcp://there", gpu=task.needs_gpu)
    assert workers.slots() == slots
    workers.submit(task)
    assert client.asked == [expected]


@pytest.mark.slow
def test_only_the_worker_with_a_gpu_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two real workers, one of which declares a GPU; lookups stand in for trainings."""
    monkeypatch.setenv(faulty.FOLDER, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(Task, "needs_gpu", True)
    (tmp_path / "faulty.toml").write_text(
        faulty.SUITE.format(seeds=45, guilty=-1, deaths=0, pause=0.001)
    )
    suite = suites.load(tmp_path / "faulty.toml")
    one = ("--nworkers", "1", "--nthreads", "1")
    with cluster(*one) as address, command("worker", address, *one, "--resources", "GPU=1"):
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=120)
            pids = client.run(os.getpid)
            known = client.scheduler_info()["workers"]
        assert run(suite, tmp_path / "out", "dask", scheduler=address) == 90
    declares = {pids[at] for at, worker in known.items() if worker["resources"]}
    assert len(declares) == 1
    assert {int(file.name.partition("-")[2]) for file in tmp_path.glob("worker-*")} == declares


def blocks(language: str, of: str) -> list[str]:
    """Return the code of a language in a section of the page."""
    section = re.split(rf"^## {of}$", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


def test_the_slurm_job_is_the_one_on_the_page() -> None:
    """Made without a cluster: nothing is submitted before the cluster is scaled."""
    pytest.importorskip("dask_jobqueue")
    (recipe,), (shown,) = blocks("python", "Slurm"), blocks("sh", "Slurm")
    made, scaled, _ = recipe.partition("cluster.scale(")
    assert scaled
    names: dict[str, Any] = {}
    exec(compile(made, "docs/distributed.md", "exec"), names)  # noqa: S102  # our own page
    with names["cluster"] as slurm:
        script = slurm.job_script()
        assert slurm.scheduler.allowed_failures == 0
    script = re.sub(r"tcp://\S+", "tcp://SCHEDULER", script.replace(sys.executable, "python"))
    assert script.strip() == shown.strip()


def test_the_commands_on_the_page_have_the_options_that_they_use() -> None:
    shown = [line for block in blocks("sh", "GPUs") for line in block.splitlines()]
    asked = {word for line in shown for word in re.findall(r"--[a-z-]+", line)}
    helped = subprocess.run(
        [sys.executable, "-m", "nasbench_evo", "run", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "200"},
    ).stdout
    ours = {word for word in asked if word not in {"--port", "--nthreads", "--resources"}}
    assert ours == {"--devices", "--out", "--engine", "--scheduler"}
    assert all(word in helped for word in ours)


INTRUDER = """
import asyncio, os, sys
from distributed.comm import connect
from distributed.security import Security

async def reaches(address, security):
    try:
        await connect(address, timeout=2, **security.get_connection_args("client"))
    except Exception:
        return False
    return True

async def main(address):
    for place in (address, address.replace("tls://", "tcp://")):
        for security in (Security(), Security.temporary()):
            print(await reaches(place, security), flush=True)

asyncio.run(main(sys.argv[1]))
os._exit(0)
"""


def intrusions(address: str) -> list[str]:
    """Whether a process without our certificate can talk to a scheduler, in four ways."""
    words = [sys.executable, "-c", INTRUDER, address]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    return done.stdout.split()


def test_nobody_else_reaches_a_cluster_on_this_machine() -> None:
    """A client without the certificate, as any other user of the machine is, runs nothing."""
    workers = on_dask.DaskWorkers(1, None)
    try:
        address = workers._client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        found = workers._client.scheduler_info(n_workers=-1)["workers"]
        assert found
        assert all(name.startswith("tls://127.0.0.1:") for name in found)
        for place in (address, *found):
            assert intrusions(place) == ["False"] * 4
        assert workers._client.submit(int, "3").result(30) == 3  # its owner is not disturbed
    finally:
        workers.close(kill=True)


def test_the_intruder_reaches_what_is_open() -> None:
    """The test above can fail: without certificates he talks to the scheduler."""
    with distributed.LocalCluster(
        n_workers=0, processes=False, protocol="tcp://", dashboard_address=None
    ) as cluster:
        assert "True" in intrusions(cluster.scheduler_address)


@pytest.mark.parametrize(
    ("address", "warned"), [("tcp://here:1", 1), ("here:1", 1), ("tls://h:1", 0)]
)
@pytest.mark.filterwarnings("default")
def test_schedulers_that_anybody_may_use_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, address: str, warned: int
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("nobody there")

    monkeypatch.setattr(distributed, "Client", refuse)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(InputError, match="No Dask scheduler answers"):
            on_dask.DaskWorkers(1, address)
    texts = [str(one.message) for one in said if "can run code as you" in str(one.message)]
    assert len(texts) == warned
