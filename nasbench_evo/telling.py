"""What long work says of itself: each step, to whoever listens; nobody need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LISTENER: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


def tell(step: str) -> None:
    """Say that a step is done, such as "figure regret"."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(step)


@contextmanager
def heard(listener: Callable[[str], None]) -> Iterator[None]:
    """Let `listener` hear the steps that are done inside the block."""
    before = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(before)
