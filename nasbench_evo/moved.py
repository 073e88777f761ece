"""Old names of modules: they work for one release, with a warning that says the new name."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any


def alias(old: str, new: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module that moved from `old` to `new`."""

    def attribute(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        message = f"{old} is {new} now; the old name goes with the next release."
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(new), name)

    return attribute
