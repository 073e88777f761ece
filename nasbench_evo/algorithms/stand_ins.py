"""Algorithms of other people's code, by name only: what reading results needs of them.

A results folder may come from anybody, and importing `package.module:Class` runs code. So results
are read with a class that has the name and the stored hyper-parameters, and nothing to run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from keyword import iskeyword
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from nasbench_evo.algorithms.base import HYPERPARAMETERS, Algorithm, parameter
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.external import is_imported
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Search


class Resolved(NamedTuple):
    """A row of a suite as its run resolved it: `hyperparameters` are all values in effect."""

    algorithm: str
    preset: str
    changes: Mapping[str, Any]
    hyperparameters: Mapping[str, Any]
    name: str = ""  # the class's own; empty in results of earlier versions
    preset_name: str = ""  # what people are told of the preset
    preset_values: Mapping[str, Any] = MappingProxyType(
        {}
    )  # its own, before changes; empty: as name


class StandIn(Algorithm):
    """An algorithm whose code is not imported."""

    paper: ClassVar[str] = "not imported"

    def search(self, space: Any, rng: Stream) -> Search:
        """Raise Unsupported: there is nothing to run."""
        raise Unsupported(
            f"{self.name} is known by name only: results are read without importing the code that "
            "made them. To repeat its runs import its module in Python first, or use "
            "`nasbench-evo run`."
        )


_KNOWN: dict[str, type[Algorithm]] = {}  # by package.module:Class


def known(name: str) -> type[Algorithm] | None:
    """Return the stand-in of an algorithm whose module is not imported, None if there is none."""
    return None if is_imported(name) else _KNOWN.get(name)


def stand_in(name: str, rows: Iterable[Resolved], *, at_their_word: bool = False) -> None:
    """Let `algorithms.get` give a stand-in for `package.module:Class` until that is imported.

    `rows` are those of the algorithm; `at_their_word`: their values are not checked. Raises
    InputError where one is no hyper-parameter.
    """
    presets: dict[str, dict[str, Any]] = {}
    told: dict[str, str] = {}
    own = name
    defaults: dict[str, Any] = {}
    for row in rows:
        defaults = {**row.hyperparameters, **defaults}  # a level of the first row, not of the last
        own, told[row.preset] = row.name or own, row.preset_name or row.preset
        preset = presets.setdefault(row.preset, {})
        preset |= {k: v for k, v in row.hyperparameters.items() if k not in row.changes}
        preset |= row.preset_values
    fields: list[Any] = []
    for key, listed in defaults.items():
        value = tuple(listed) if isinstance(listed, list) else listed
        if not key.isidentifier() or iskeyword(key) or not isinstance(value, HYPERPARAMETERS):
            raise InputError(f"{name}: {key!a:.60} = {value!a:.60} is no hyper-parameter.")
        fields.append((key, type(value), parameter(value, "")))
    content: dict[str, Any] = {"name": own, "presets": presets}
    content["preset_name"] = staticmethod(lambda preset: told.get(preset, preset))
    if at_their_word:
        content["__post_init__"] = lambda self: None
    _KNOWN[name] = dataclasses.make_dataclass(
        "StandIn", fields, bases=(StandIn,), namespace=content, frozen=True
    )
