"""Algorithms from elsewhere: an entry point of a package, or `package.module:Class`."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from nasbench_evo import names
from nasbench_evo.algorithms.base import HYPERPARAMETERS, Algorithm
from nasbench_evo.errors import InputError, unknown
from nasbench_evo.incumbents import RULES

_LOG = logging.getLogger(__name__)  # without a handler it writes to stderr
GROUP = "nasbench_evo.algorithms"
_LONGEST = 200  # characters of package.module:Class


def installed() -> dict[str, EntryPoint]:
    """Return the entry points of all installed packages by name, without importing any."""
    return {point.name: point for point in entry_points(group=GROUP)}


def load(point: EntryPoint) -> type[Algorithm]:
    """Return the algorithm of an entry point; raise InputError if it cannot be used."""
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # whatever the package does when it is imported
        raise InputError(
            f"The entry point {point.name!r} = {point.value!r} cannot be loaded{_where(error)}: "
            f"{error!s:.200}. Reinstall or fix the package that brings it."
        ) from error
    return _checked(point.value, found)


def imported(name: str) -> type[Algorithm]:
    """Return the class that `package.module:Class` names; raise InputError if it cannot be used.

    A module that is not installed is looked for in the working directory too.
    """
    module_name, _, class_name = name.partition(":")
    parts = [*module_name.split("."), class_name]
    if len(name) > _LONGEST or not all(part.isidentifier() for part in parts):
        raise InputError(f"Expected package.module:Class; got {name!a:.80}.")
    try:
        module = _module(module_name)
    except ImportError as error:
        raise InputError(
            f"Cannot import {module_name!r} for the algorithm {name!r}: {error}. Install its "
            "package, or run from the folder that holds it."
        ) from error
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported
        raise InputError(
            f"Importing {module_name!r} for the algorithm {name!r} failed{_where(error)}: "
            f"{type(error).__name__}: {error!s:.200}. Fix that module."
        ) from error
    if not hasattr(module, class_name):
        raise InputError(
            f"{module_name} has no {class_name}. Its algorithms: "
            f"{', '.join(_algorithms_in(module)) or 'none'}."
        )
    return _checked(name, getattr(module, class_name))


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


def _where(error: BaseException) -> str:
    """Return the last place of an error, as " in FILE, line N"."""
    if isinstance(error, SyntaxError):
        return f" in {error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    return f" in {frames[-1].filename}, line {frames[-1].lineno}" if frames else ""


def _algorithms_in(module: Any) -> list[str]:
    return sorted(
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, Algorithm) and value is not Algorithm
    )


def _checked(name: str, found: Any) -> type[Algorithm]:
    """Return the class if runs can be made with it; otherwise say what it lacks."""
    if not inspect.isclass(found) or not issubclass(found, Algorithm):
        raise InputError(
            f"{name} is no algorithm: expected a subclass of "
            f"nasbench_evo.algorithms.Algorithm; got {found!r}."
        )
    if inspect.isabstract(found):
        raise InputError(f"{name} has no search(self, space, rng): write that generator.")
    if not isinstance(getattr(found, "name", None), str):
        raise InputError(f'{name} has no name: add `name: ClassVar[str] = "..."` to the class.')
    if any(isinstance(value, dataclasses.Field) for value in vars(found).values()):
        raise InputError(
            f"{name} has hyper-parameters that are not read: put @dataclass(frozen=True) above it."
        )
    names.checked(f"{name}: its name", found.name)
    _check_hyperparameters(name, found)
    try:
        inspect.signature(found.search).bind(None, None, None)
    except TypeError as error:
        raise InputError(f"{name}: expected search(self, space, rng): {error}.") from None
    if not isinstance(found.presets, Mapping):
        raise InputError(f"{name}: presets are {{name: {{hyper-parameter: value}}}}.")
    if found.incumbent not in RULES:
        raise unknown(f"incumbent of {name}", str(found.incumbent), RULES)
    return found


def _check_hyperparameters(name: str, found: type[Algorithm]) -> None:
    """Raise InputError for a hyper-parameter without a default that says its type."""
    for field in dataclasses.fields(found):
        if type(field.default) not in HYPERPARAMETERS:
            raise InputError(
                f"{name}: the hyper-parameter {field.name} needs a default that is a number, a "
                "text, (), True or False: its values have that type."
            )
