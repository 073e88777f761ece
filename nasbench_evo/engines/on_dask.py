"""Workers of a Dask scheduler, on this machine or on a cluster. docs/distributed.md."""

from __future__ import annotations

import importlib.util
import logging
import platform
import time
import warnings
from concurrent.futures import Future
from contextlib import ExitStack
from functools import lru_cache
from importlib import metadata
from typing import Any

from nasbench_evo.engines.driver import CONNECTION_LOST
from nasbench_evo.engines.tasks import ONE_THREAD, Outcome, Task, execute, ignore_interrupt
from nasbench_evo.errors import InputError, RunsFailed, Unsupported

GPU = "GPU"  # the resource that workers with a GPU declare
_SAFE = ("tls://", "inproc://")  # addresses that others cannot use
_CONNECT = 15.0  # seconds that a scheduler has to answer
_REFRESH = 2.0  # seconds between questions who the workers are


def require() -> None:
    """Raise Unsupported where Dask, or what its certificates need, is not installed."""
    for package in ("distributed", "cryptography"):
        if importlib.util.find_spec(package) is None:
            raise Unsupported(f"--engine dask needs {package}: pip install 'nasbench-evo[dask]'.")


class DaskWorkers:
    """The workers of a `scheduler`; without one, `number` processes that end with this object.

    With `gpu` tasks go to workers that declare the resource GPU, if there are any. Raises
    InputError for a scheduler that does not answer.
    """

    def __init__(self, number: int, scheduler: str | None, *, gpu: bool = False) -> None:
        from distributed import KilledWorker

        self.lost: tuple[type[BaseException], ...] = (KilledWorker,)
        self._lost_one = False
        self._gpu = gpu
        self._known: list[dict[str, Any]] = []
        self._known_at = -_REFRESH
        self._stack = ExitStack()
        try:
            self._client = self._local(number) if scheduler is None else self._remote(scheduler)
        except BaseException:
            self._stack.close()
            raise
        self._plain = self._client.get_executor(pure=False)
        self._with_gpu = self._client.get_executor(pure=False, resources={GPU: 1})

    def _local(self, number: int) -> Any:
        import dask
        from distributed import Client, LocalCluster
        from distributed.security import Security

        # Trainings may start processes of their own, which daemons cannot.
        self._stack.enter_context(dask.config.set({"distributed.worker.daemon": False}))
        # Whoever reaches a scheduler can run code as its user, and every user of this machine
        # reaches loopback: only who has the certificate, which is in our memory, is let in.
        cluster = LocalCluster(
            n_workers=number,
            protocol="tls://",
            security=Security.temporary(),
            threads_per_worker=1,
            silence_logs=logging.CRITICAL,
            scheduler_kwargs={
                "dashboard": False,
                "dashboard_address": "127.0.0.1:0",  # its web server needs a port all the same
                "allowed_failures": 0,  # the driver counts the strikes
            },
            memory_limit=0,
            env=ONE_THREAD,
        )
        self._stack.enter_context(cluster)
        client = self._stack.enter_context(Client(cluster, set_as_default=False))
        client.register_worker_callbacks(ignore_interrupt)
        return client

    def _remote(self, scheduler: str) -> Any:
        from distributed import Client

        if not scheduler.startswith(_SAFE):
            warnings.warn(
                f"Whoever reaches the scheduler at {scheduler} can run code as you, here and on "
                "its workers. Keep it behind a firewall, on machines of yours alone, or use tls:// "
                "(docs/distributed.md).",
                stacklevel=2,
            )
        try:
            client = Client(scheduler, timeout=_CONNECT, set_as_default=False)
        except (OSError, ValueError) as error:  # TimeoutError is an OSError
            raise InputError(
                f"No Dask scheduler answers at {scheduler!r} ({error}). Expected an address such "
                "as tcp://10.0.0.1:8786, where `dask scheduler` runs."
            ) from error
        self._stack.enter_context(client)
        if self._gpu:  # whether workers declare GPUs is not known before
            client.wait_for_workers(1)
        return client

    def slots(self) -> int:
        """Return how many tasks the workers that are there by now can run at a time.

        Raises InputError for workers with several threads: trainings set the process's seeds;
        RunsFailed if the scheduler is lost.
        """
        if self._lost_one or time.monotonic() - self._known_at >= _REFRESH:
            self._lost_one = False
            try:
                found = self._client.scheduler_info(n_workers=-1)["workers"]
            except OSError as error:
                raise RunsFailed(CONNECTION_LOST) from error
            self._known = list(found.values())
            self._known_at = time.monotonic()
            for worker in self._known:
                if worker["nthreads"] != 1:
                    raise InputError(
                        f"Expected workers with one thread; {worker['name']} has "
                        f"{worker['nthreads']}. Start them with --nworkers N --nthreads 1."
                    )
        return self._gpus() or len(self._known)

    def _gpus(self) -> int:
        """Return how many GPUs are declared, 0 if that does not matter."""
        declared = sum(worker.get("resources", {}).get(GPU, 0) for worker in self._known)
        return int(declared) if self._gpu else 0

    def submit(self, task: Task) -> Future[Outcome]:
        """Hand out a task; it asks for a GPU where it needs one and workers declare them."""
        executor = self._with_gpu if task.needs_gpu and self._gpus() else self._plain
        future: Future[Outcome] = executor.submit(execute_checked, task, versions(task.trains))
        future.add_done_callback(self._notice)
        return future

    def _notice(self, future: Future[Outcome]) -> None:
        """Have the workers counted anew after one was lost: fewer must get fewer tasks."""
        if not future.cancelled() and isinstance(future.exception(), self.lost):
            self._lost_one = True

    def close(self, *, kill: bool) -> None:
        """Leave the scheduler, which drops what is in flight; end a cluster of our own."""
        self._stack.close()


@lru_cache(maxsize=2)
def versions(trains: bool) -> dict[str, str | None]:
    """Return what driver and workers must have in common: the manifest tells the driver's."""
    found: dict[str, str | None] = {"python": ".".join(platform.python_version_tuple()[:2])}
    for package in ("nasbench-evo", "numpy", "cmaes", *(("torch",) if trains else ())):
        try:
            found[package] = metadata.version(package).split("+")[0]  # 2.13.0+cu126 is 2.13.0
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def execute_checked(task: Task, expected: dict[str, str | None]) -> Outcome:
    """Run a task on a worker; raise InputError if its versions are not the driver's."""
    own = versions(task.trains)
    if own != expected:
        different = ", ".join(
            f"{name} {own[name]} (driver: {expected[name]})"
            for name in own
            if own[name] != expected[name]
        )
        raise InputError(
            f"The worker on {platform.node()} has {different}. Results must not depend on where "
            "a run goes: install the same versions on the driver and on every worker."
        )
    return execute(task)
