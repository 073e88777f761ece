"""How people write a NAS-Bench-201 cell, and which integer means which cell.

Read as they are: the published string, six operation digits in edge order, '#' and the official
index, AutoDL-Projects' nested tuples and `Structure(...)`, nni's dictionary of edges. Refused
unless the caller says how to read them: integers (an index in one of two orders, or digits that
lost their zeros) and NASLib's six numbers (other operations, other edge order).
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from nasbench_evo.errors import InputError, unknown
from nasbench_evo.spaces.base import Genotype, Space
from nasbench_evo.spaces.nasbench201 import EDGES, OPERATIONS, SIZE, Cell, NASBench201

INDEXES = ("official", "base5", "digits")
SPELLINGS = ("naslib",)
_LONGEST = 1000  # characters of one cell
_NODE = re.compile(r"\|(?:[a-z0-9_]+~\d\|)+")
_STRUCTURE = re.compile(r"\w*Structure\(\d+ nodes with (.*)\)")
_ACCEPTED = (
    "a published string such as '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|none~2|', "
    "six operation digits 0-4 in edge order such as '333103', or '#' and the official index 0-15624"
)
# NASLib's edges are ordered by source, and its operations are
# Identity, Zero, ReLUConvBN3x3, ReLUConvBN1x1, AvgPool1x1.
_NASLIB_EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
_NASLIB_OPERATIONS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
_NNI_EDGES = {f"{source}_{target}": (source, target) for source, target in EDGES}
_NNI_OPERATIONS = {name.removeprefix("nor_"): name for name in OPERATIONS}


@cache
def official_order() -> tuple[int, ...]:
    """Return the base-5 index of each cell of the benchmark's own list, [15625].

    The list that papers and other tables mean by an index is all cells in base-5 order, shuffled
    with seed 88 by Python's generator.
    """
    order = list(range(SIZE))
    random.Random(88).shuffle(order)  # noqa: S311  (the published order)
    return tuple(order)


@cache
def official_index() -> tuple[int, ...]:
    """Return the official index of each cell in base-5 order, [15625]."""
    inverse = [0] * SIZE
    for official, position in enumerate(official_order()):
        inverse[position] = official
    return tuple(inverse)


def reader(
    space: Space, spelling: str | None = None, index: str | None = None
) -> Callable[[str], Genotype]:
    """Return the function that reads a genotype of `space`, told how integers are meant.

    Raises InputError for an unknown spelling or index, and for another space.
    """
    if spelling is None and index is None:
        return space.parse
    if not isinstance(space, NASBench201):
        raise InputError(f"--spelling and --index are for nasbench201's cells; not {space.name}'s.")
    if spelling is not None and spelling not in SPELLINGS:
        raise unknown("spelling", spelling, SPELLINGS)
    if index is not None and index not in INDEXES:
        raise unknown("index", index, INDEXES)
    return partial(parse, spelling=spelling, index=index)


def parse(text: str, spelling: str | None = None, index: str | None = None) -> Cell:
    """Return the cell that `text` spells; raise InputError with the difference, or what will do."""
    text = text.strip()
    if len(text) > _LONGEST:
        raise InputError(f"Not a NAS-Bench-201 cell: {text[:40]!r}... Accepted: {_ACCEPTED}.")
    if text.startswith("|"):
        return _published(text)
    if match := _STRUCTURE.fullmatch(text):
        return _published(match[1])
    if text.startswith(("(", "[", "{")):
        return _literal(text, spelling)
    if spelling == "naslib" and re.fullmatch(r"[0-4]{6}", text, re.ASCII):
        return _naslib(tuple(map(int, text)))
    if re.fullmatch(r"#\d{1,5}", text, re.ASCII):
        return _at(int(text[1:]), "official")
    number = text.removesuffix(".0")  # as a column of floats has integers
    if re.fullmatch(r"\d{1,5}", number, re.ASCII):
        if index is None:
            raise InputError(_bare(number))
        return _at(int(number), index)
    if re.fullmatch(r"[0-4]{6}", number, re.ASCII):
        if index in ("official", "base5") and int(number) < SIZE:
            raise InputError(
                f"{text!r} may be six operation digits or the {index} index {int(number)} with "
                f"zeros before it: write {int(number)} for the index, or the published string."
            )
        return _digits(number)
    raise InputError(f"Not a NAS-Bench-201 cell: {text!r}. Accepted: {_ACCEPTED}.")


def _bare(text: str) -> str:
    """Return why an integer is no cell, and what it might be."""
    space = NASBench201()
    meanings = []
    if int(text) < SIZE:
        meanings.append(
            f"the official index #{int(text)}, {space.format(_at(int(text), 'official'))}"
        )
        meanings.append(f"the base-5 index, {space.format(space.from_index(int(text)))}")
    if re.fullmatch(r"[0-4]+", text):
        meanings.append(f"six digits that lost their leading zeros, {text.zfill(6)}")
    known = " or ".join(meanings) or f"an index, but those end at {SIZE - 1}"
    return (
        f"{text!r} does not say which cell it is: it may be {known}. Write '#' before an official "
        "index, or all six digits; --index official, base5 or digits says it for whole columns."
    )


def _at(number: int, index: str) -> Cell:
    """Return the cell of an integer whose meaning is said."""
    if index == "digits":
        if not re.fullmatch(r"[0-4]{1,6}", str(number)):
            raise InputError(f"Six operation digits are 0-4; got {number}.")
        return _digits(str(number).zfill(6))
    if not 0 <= number < SIZE:
        raise InputError(f"A cell index is 0..{SIZE - 1}; got {number}.")
    return NASBench201().from_index(official_order()[number] if index == "official" else number)


def _digits(text: str) -> Cell:
    a, b, c, d, e, f = map(int, text)
    return a, b, c, d, e, f


def _published(text: str) -> Cell:
    """Read the published string; bars at its ends may be missing or doubled."""
    nodes = ["|" + node.strip().strip("|") + "|" for node in text.split("+")]
    if len(nodes) != 3 or not all(_NODE.fullmatch(node) for node in nodes):
        raise InputError(f"Not a NAS-Bench-201 cell: {text!r}. Accepted: {_ACCEPTED}.")
    entries = [[entry.split("~") for entry in node.strip("|").split("|")] for node in nodes]
    return _nodes([[(name, int(source)) for name, source in node] for node in entries], text)


def _nodes(nodes: list[list[tuple[str, int]]], text: str) -> Cell:
    """Return the cell of each node's operations and sources."""
    for target, node in enumerate(nodes, start=1):
        if [source for _, source in node] != list(range(target)):
            raise InputError(
                f"Node {target} of {text!r} needs the inputs {list(range(target))} in order; "
                f"got {[source for _, source in node]}."
            )
    return _cell({(s, t): name for t, node in enumerate(nodes, start=1) for name, s in node}, text)


def _cell(edges: Mapping[tuple[int, int], str], text: str) -> Cell:
    """Return the cell of the operation names on its six edges."""
    for name in edges.values():
        if name not in OPERATIONS:
            raise InputError(
                f"Unknown operation {name!r} in {text!r}. Known: {', '.join(OPERATIONS)}."
            )
    a, b, c, d, e, f = (OPERATIONS.index(edges[edge]) for edge in EDGES)
    return a, b, c, d, e, f


def _literal(text: str, spelling: str | None) -> Cell:
    """Read a Python literal: nested nodes, a dictionary of edges, or NASLib's six numbers."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise InputError(f"Not a NAS-Bench-201 cell: {text!r}. Accepted: {_ACCEPTED}.") from None
    if isinstance(value, dict):
        return _nni(value, text)
    plain = isinstance(value, tuple | list)
    if plain and len(value) == 6 and all(type(part) is int for part in value):
        if spelling == "naslib":
            return _naslib(tuple(value))
        raise InputError(
            f"{text!r} may be this product's digits ({''.join(map(str, value))}) or NASLib's, "
            "whose operations and edges are in another order: write six digits for the first, say "
            "--spelling naslib for the second."
        )
    if plain and len(value) == 3 and all(isinstance(node, tuple | list) for node in value):
        nodes = [list(node) for node in value]
        pairs = [pair for node in nodes for pair in node]
        if all(isinstance(p, tuple | list) and [*map(type, p)] == [str, int] for p in pairs):
            return _nodes([[(p[0], p[1]) for p in node] for node in nodes], text)
    raise InputError(f"Not a NAS-Bench-201 cell: {text!r}. Accepted: {_ACCEPTED}.")


def _naslib(numbers: tuple[int, ...]) -> Cell:
    """Return the cell of NASLib's operation numbers in NASLib's edge order."""
    if not all(0 <= number < len(_NASLIB_OPERATIONS) for number in numbers):
        raise InputError(f"NASLib's operations are 0-4; got {numbers}.")
    names = (_NASLIB_OPERATIONS[number] for number in numbers)
    return _cell(dict(zip(_NASLIB_EDGES, names, strict=True)), str(numbers))


def _nni(edges: Mapping[Any, Any], text: str) -> Cell:
    """Return the cell of nni's dictionary 'source_target' -> operation."""
    if set(edges) != set(_NNI_EDGES):
        raise InputError(f"{text!r}: expected the edges {', '.join(_NNI_EDGES)}.")
    names = {_NNI_EDGES[key]: _NNI_OPERATIONS.get(str(v), str(v)) for key, v in edges.items()}
    return _cell(names, text)
