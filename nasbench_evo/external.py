"""Classes of other people's code, named `package.module:Class`: imported when they are to run.

Importing runs code. So what only reads results asks `is_imported` first, and does with a stand-in
where that says no.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nasbench_evo.errors import InputError

_LOG = logging.getLogger(__name__)  # without a handler it writes to stderr
_LONGEST = 200  # characters of package.module:Class


def spelled(cls: type[Any]) -> str:
    """Return `package.module:Class` of a class."""
    return f"{cls.__module__}:{cls.__qualname__}"


def is_outside(name: object) -> bool:
    """Return whether a name is one of other people's code: it has a colon."""
    return isinstance(name, str) and ":" in name


def is_imported(name: str) -> bool:
    """Return whether the module of `package.module:Class` is imported already."""
    return name.partition(":")[0] in sys.modules


def found(name: str, what: str, base: Any) -> type[Any]:
    """Return the subclass of `base` that `package.module:Class` names; `what` is for messages.

    A module that is not installed is looked for in the working directory too. Raises InputError
    where it cannot be imported or is none.
    """
    module_name, _, class_name = name.partition(":")
    parts = [*module_name.split("."), class_name]
    if len(name) > _LONGEST or not all(part.isidentifier() for part in parts):
        raise InputError(f"Expected package.module:Class; got {name!a:.80}.")
    try:
        module = _module(module_name)
    except ImportError as error:
        raise InputError(
            f"Cannot import {module_name!r} for the {what} {name!r}: {error}. Install its "
            "package, or run from the folder that holds it."
        ) from error
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported
        raise InputError(
            f"Importing {module_name!r} for the {what} {name!r} failed{where(error)}: "
            f"{type(error).__name__}: {error!s:.200}. Fix that module."
        ) from error
    if not hasattr(module, class_name):
        known = ", ".join(sorted(_named(module, base))) or "none"
        raise InputError(f"{module_name} has no {class_name}. Its {what.split()[-1]}s: {known}.")
    return subclass(name, getattr(module, class_name), what, base)


def subclass(name: str, value: Any, what: str, base: Any) -> type[Any]:
    """Return a value if it is a subclass of `base`; raise InputError otherwise."""
    if not inspect.isclass(value) or not issubclass(value, base):
        raise InputError(
            f"{name} is no {what}: expected a subclass of {base.__module__.removesuffix('.base')}."
            f"{base.__name__}; got {value!r}."
        )
    return value


def where(error: BaseException) -> str:
    """Return the last place of an error, as " in FILE, line N"."""
    if isinstance(error, SyntaxError):
        return f" in {error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    return f" in {frames[-1].filename}, line {frames[-1].lineno}" if frames else ""


def _module(name: str) -> Any:
    """Import a module, from the working directory if it is nowhere else; say so if from there."""
    top = name.partition(".")[0]
    if name not in sys.modules and _is_here(top):
        _LOG.warning("Importing %s from %s: its code runs as you.", name, os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if not (name == missing or name.startswith(missing + ".")) or os.getcwd() in sys.path:
            raise
    # Last, so that nothing there can hide an installed module; workers inherit the path.
    sys.path.append(os.getcwd())
    importlib.invalidate_caches()
    return importlib.import_module(name)


def _is_here(top: str) -> bool:
    """Return whether a module lies below the working directory, and not in an environment there."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return False
    if spec is None:
        return any((Path.cwd() / f"{top}{ending}").exists() for ending in ("", ".py"))
    places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    return any(
        Path(place).resolve().parent in (Path.cwd(), Path.cwd() / top) for place in places if place
    )


def _named(module: Any, base: type) -> Iterator[str]:
    for name, value in vars(module).items():
        if inspect.isclass(value) and issubclass(value, base) and value is not base:
            yield name
