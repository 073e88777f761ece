"""What goes to the screen: data to stdout, everything else to stderr."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn

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


def settle() -> None:
    """Drop what the streams do not take: Python would try again at its exit, and end with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):  # a stream without a number, or closed
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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
    from rich.progress import MofNCompleteColumn

    with _shown(label, MofNCompleteColumn(), lambda done, total: f"{done}/{total}", done) as show:
        reached = done

        def advance(n: int) -> None:
            nonlocal reached
            reached += n
            show(reached, total)

        show(done, total)
        yield advance


@contextmanager
def share(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (done, total), of bytes for example; both are shown as a percentage."""
    from rich.progress import TaskProgressColumn

    percent = TaskProgressColumn()
    with _shown(label, percent, lambda done, total: f"{100 * done / total:.0f} %", 0) as show:
        yield show


@contextmanager
def _shown(
    label: str, count: ProgressColumn, text: Callable[[int, int], str], begun: int
) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (done, total) that moves a bar, or now and then prints a line."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TimeRemainingColumn

        columns = ("{task.description}", BarColumn(), count, TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(label, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    started = last = time.monotonic()

    def lines(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _LINE_EVERY and done > begun:
            last = now
            left = (total - done) * (now - started) / (done - begun)
            say(f"{label}: {text(done, total)}, about {left:.0f} s left")

    yield lines
