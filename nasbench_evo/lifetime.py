"""A process that ends with the one that started it, whichever way that one ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

_EVERY = 0.5  # seconds between looks at the parent
# loky restarts a process that grew by 300 MB, with a warning; a training is that large.
_NO_RESTART = {"LOKY_MAX_MEMORY_LEAK_SIZE": "1e18"}


def ends_with(parent: int) -> None:
    """End this process soon after its parent, the process `parent`, has ended.

    A parent that is killed cannot say goodbye: its children would work on, and write where a
    resumed parent writes. A thread looks whose child this is; Linux's parent-death signal would
    not do, because it comes when the thread that made the child ends.
    """
    threading.Thread(target=_watch, args=(parent,), name="parent watch", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_EVERY)
    os.kill(os.getpid(), signal.SIGKILL)


def worker_of(parent: int) -> None:
    """Make this process a worker of `parent`: Ctrl-C is left to that, and both end together."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ends_with(parent)


def worker(environment: Mapping[str, str] | None = None) -> Any:
    """Return an executor with one process, which ends with this one."""
    from loky.process_executor import ProcessPoolExecutor  # imported late: few need it

    return ProcessPoolExecutor(
        max_workers=1,
        initializer=worker_of,
        initargs=(os.getpid(),),
        env={**_NO_RESTART, **(environment or {})},
    )
