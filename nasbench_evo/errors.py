"""Errors that a user can cause or act on. The command line prints them without a traceback.

Every message says what was expected, what came, and what to do about it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NasbenchEvoError(Exception):
    """Base of all errors of this package; `exit_code` is the process's exit status."""

    exit_code = 1


class InputError(NasbenchEvoError, ValueError):
    """The user asked for something that does not exist or is out of range."""

    exit_code = 2


class Unsupported(InputError):
    """An evaluator or a space cannot answer this request; the message says what can."""


class RunsFailed(NasbenchEvoError):
    """Some runs of a suite failed; the others are stored."""

    exit_code = 3


class DataError(NasbenchEvoError):
    """A data file is missing, truncated or altered."""

    exit_code = 4


class BehaviourChanged(NasbenchEvoError):
    """The gate found other traces or a worse search than its baseline."""

    exit_code = 5


class ProtocolError(NasbenchEvoError, RuntimeError):
    """The conversation of a search was misused: an ask before tell, a request that is none."""

    exit_code = 2


def unknown(kind: str, name: object, known: Iterable[str]) -> InputError:
    """Return the error for a `name` that is not among the `known` ones, with its near miss."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1) if isinstance(name, str) else []
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return InputError(f"Unknown {kind} {name!a:.80}.{hint} Known: {', '.join(names) or 'none'}.")
