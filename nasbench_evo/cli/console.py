"""What goes to the screen: data to stdout, everything else to stderr."""

from __future__ import annotations

import io
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn

_PIPED = 150  # characters of a line where there is no terminal and COLUMNS is not set
_LINE_EVERY = 30.0  # seconds between progress lines without a terminal


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


def tables() -> Console:
    """Return where tables are printed; names in them are text, not markup.

    They are as wide as the terminal, or as COLUMNS says.
    """
    from rich.console import Console

    width = shutil.get_terminal_size((_PIPED, 24)).columns
    return Console(width=width, markup=False, emoji=False, highlight=False)


def sentence(console: Console, text: str) -> None:
    """Print a sentence: in lines as wide as a table where somebody said how wide that is."""
    console.print(text, soft_wrap=not (sys.stdout.isatty() or "COLUMNS" in os.environ))


def say(message: str) -> None:
    """Print a message for people to stderr."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201


def out(text: str) -> None:
    """Print data to stdout."""
    print(text, flush=True)  # noqa: T201


def duration(seconds: float) -> str:
    """Return a length of time for people: 40 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


@contextmanager
def progress(label: str, total: float, done: float) -> Iterator[Callable[[float], None]]:
    """Yield a function that takes newly finished runs; shows a bar, or plain lines, with ETA."""
    with counted(label, done) as show:
        reached = done

        def advance(n: float) -> None:
            nonlocal reached
            reached += n
            show(reached, total)

        show(done, total)
        yield advance


@contextmanager
def counted(label: str, done: float = 0) -> Iterator[Callable[[float, float], None]]:
    """Yield a function of (done, total) that shows both and the time that is left."""
    from rich.progress import TextColumn

    column = TextColumn("{task.completed:,.0f}/{task.total:,.0f}")
    with _shown(label, column, lambda n, total: f"{n:,.0f}/{total:,.0f}", done) as show:
        yield show


@contextmanager
def polled(
    label: str, look: Callable[[], tuple[float, float]], every: float = 5.0
) -> Iterator[None]:
    """Show the (done, total) that `look` returns, now and then, until the block ends."""
    ended = threading.Event()
    with counted(label, look()[0]) as show:

        def go_on() -> None:
            while not ended.wait(every):
                show(*look())

        watcher = threading.Thread(target=go_on, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
            show(*look())


@contextmanager
def steps(label: str) -> Iterator[None]:
    """Show the steps that work inside the block tells of: the last one, and how many there were."""
    from nasbench_evo.telling import heard

    done, last = 0, time.monotonic()
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status(label) as status:

            def shown(step: str) -> None:
                nonlocal done
                done += 1
                status.update(f"{label}: {done}, {step}")

            with heard(shown):
                yield
        return

    def lines(step: str) -> None:
        nonlocal done, last
        done += 1
        if time.monotonic() - last >= _LINE_EVERY:
            last = time.monotonic()
            say(f"{label}: {done} done, last {step}")

    with heard(lines):
        yield


@contextmanager
def share(label: str) -> Iterator[Callable[[float, float], None]]:
    """Yield a function of (done, total), of bytes for example; both are shown as a percentage."""
    from rich.progress import TaskProgressColumn

    percent = TaskProgressColumn()
    with _shown(label, percent, lambda done, total: f"{100 * done / total:.0f} %", 0) as show:
        yield show


@contextmanager
def _shown(
    label: str, count: ProgressColumn, text: Callable[[float, float], str], begun: float
) -> Iterator[Callable[[float, float], None]]:
    """Yield a function of (done, total) that moves a bar, or now and then prints a line."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TimeRemainingColumn

        columns = ("{task.description}", BarColumn(), count, TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(label, total=1)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    started = last = time.monotonic()

    def lines(done: float, total: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _LINE_EVERY and done > begun:
            last = now
            left = (total - done) * (now - started) / (done - begun)
            say(f"{label}: {text(done, total)}, about {duration(left)} left")

    yield lines


def times(n: int, what: str) -> str:
    """Return a number of things in words: 1 seed, 12 seeds."""
    return f"{n} {what}{'' if n == 1 else 's'}"
