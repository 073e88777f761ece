"""What goes to the screen: data to stdout, everything else to stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LINE_EVERY = 10.0  # seconds between progress lines without a terminal


def say(message: str) -> None:
    """Print a message for people to stderr."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201


def out(text: str) -> None:
    """Print data to stdout."""
    print(text, flush=True)  # noqa: T201


@contextmanager
def progress(label: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes newly finished runs; shows a bar, or plain lines, with ETA."""
    if sys.stderr.isatty():
        with _bar(label, total, done) as advance:
            yield advance
    else:
        yield _lines(label, total, done)


@contextmanager
def _bar(label: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total, completed=done)
        yield lambda n: bar.advance(task, n)


def _lines(label: str, total: int, done: int) -> Callable[[int], None]:
    started = last = time.monotonic()
    fresh = 0

    def advance(n: int) -> None:
        nonlocal fresh, last
        fresh += n
        now = time.monotonic()
        if now - last >= _LINE_EVERY:
            last = now
            left = (total - done - fresh) * (now - started) / fresh
            say(f"{label}: {done + fresh}/{total}, about {left:.0f} s left")

    return advance
