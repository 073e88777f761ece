"""Algorithms from elsewhere: an entry point of a package, or `package.module:Class`."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from weakref import WeakValueDictionary

from nasbench_evo import external, names
from nasbench_evo.algorithms.base import HYPERPARAMETERS, Algorithm
from nasbench_evo.errors import InputError, unknown
from nasbench_evo.incumbents import RULES

GROUP = "nasbench_evo.algorithms"
GIVEN: WeakValueDictionary[str, type[Algorithm]] = WeakValueDictionary()  # objects in Python


def installed() -> dict[str, EntryPoint]:
    """Return the entry points of all installed packages by name, without importing any."""
    return {point.name: point for point in entry_points(group=GROUP)}


def load(point: EntryPoint) -> type[Algorithm]:
    """Return the algorithm of an entry point; raise InputError if it cannot be used."""
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # whatever the package does when it is imported
        raise InputError(
            f"The entry point {point.name!r} = {point.value!r} cannot be loaded"
            f"{external.where(error)}: {error!s:.200}. Reinstall or fix the package that brings it."
        ) from error
    return _checked(point.value, external.subclass(point.value, found, "algorithm", Algorithm))


def given(cls: type[Algorithm]) -> str:
    """Return a name by which `algorithms.get` finds a class that was given as such in Python.

    That is package.module:Class, and works elsewhere too if the class stands in a module.
    """
    name = external.spelled(cls)
    GIVEN[name] = _checked(name, cls)
    return name


def imported(name: str) -> type[Algorithm]:
    """Return the class that `package.module:Class` names; raise InputError if it cannot be used."""
    return _checked(name, external.found(name, "algorithm", Algorithm))


def _checked(name: str, found: type[Algorithm]) -> type[Algorithm]:
    """Return the class if runs can be made with it; otherwise say what it lacks."""
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
