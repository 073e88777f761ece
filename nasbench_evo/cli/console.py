"""What goes to the screen: data to stdout, everything else to stderr."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_LINE_EVERY = 10.0  # seconds between progress lines without a terminal


def own_streams() -> None:
    """Make sure that there are three streams, and that every text can be written to them.

    Where one was closed (`>&-`) the next file opened would get its number, and what is printed
    would go there. What the encoding of the terminal does not have is written as an escape.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            os.set_inheritable(number, True)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def tables(width: int | None = None) -> Console:
    """Return where tables are printed; names in them are text, not markup."""
    from rich.console import Console

    return Console(width=width, markup=False, emoji=False, highlight=False)


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
