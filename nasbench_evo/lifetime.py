"""A process that ends with the one that started it, whichever way that one ends."""

from __future__ import annotations

import os
import signal
import threading
import time

_EVERY = 0.5  # seconds between looks at the parent


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
