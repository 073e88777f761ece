"""What pages of every kind of suite are made of: columns, cells, images on two grounds."""

from __future__ import annotations

import base64
import math
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from nasbench_evo.results.ablation_text import Section
from nasbench_evo.suite import Row

Column = tuple[str, str, str]  # name, "text" or "number", what it means
Cell = tuple[str, str | float]  # shown text, sort key
Images = dict[str, dict[str, str]]  # file -> look -> data URI
T = TypeVar("T")

_LAST = 1e300  # what is undefined sorts last
_LOOKS = ("paper", "dark")

ALGORITHM: Column = ("algorithm (preset)", "text", "The row of the suite.")
COUNT: Column = ("n", "number", "Finished runs; 27/30 where some are missing.")
COMPARED: tuple[Column, ...] = (
    ("P(better)", "number", "Probability that a run is better than one of random search."),
    ("p", "number", "Mann-Whitney against random search, Holm-corrected."),
)


def text(value: str) -> Cell:
    """Return the cell of a text, which sorts as it reads."""
    return value, value


def number(value: float | None, form: str = ".3f", more: str = "") -> Cell:
    """Return the cell of a number, `more` behind it; empty where it is not defined."""
    if value is None or math.isnan(value):
        return "", _LAST
    return f"{value:{form}}{more}", value


def spread(value: float | None, form: str = ".3f") -> str:
    """Return a standard deviation to stand behind its mean; empty where it is not defined."""
    return "" if value is None or math.isnan(value) else f" ± {value:{form}}"


def interval(low: float | None, high: float | None, form: str = ".3f") -> Cell:
    """Return the cell of an interval, which sorts by its lower end."""
    if low is None or high is None or math.isnan(low):
        return "", _LAST
    return f"{low:{form}} to {high:{form}}", low


def compared(improvement: float | None, p_value: float | None) -> list[Cell]:
    """Return the cells of COMPARED."""
    return [number(improvement), number(p_value, ".1e")]


def on_both_grounds(draw: Callable[[Path, str], T]) -> tuple[Images, T]:
    """Return what `draw(folder, look)` writes as PNG on light and dark ground, and its last answer.

    The files are gone afterwards.
    """
    images: Images = {}
    with TemporaryDirectory() as name:
        for look in _LOOKS:
            target = Path(name) / look
            target.mkdir()
            answer = draw(target, look)
            for path in target.glob("*.png"):
                images.setdefault(path.stem, {})[look] = _data_uri(path)
    return images, answer


def shown(sections: Sequence[Section], images: Images) -> list[dict[str, Any]]:
    """Return sections as the template shows them."""
    return [
        {
            "title": section.title,
            "figures": [(images[file], caption) for file, caption in section.figures],
            "said": section.said,
            "table": section.table,
        }
        for section in sections
    ]


def search_command(row: Row, dataset: str) -> list[str]:
    """Return the words of `nasbench-evo search` that name a row and its data set."""
    preset, *changes = row.preset.split(", ")
    parts = ["nasbench-evo", "search", row.algorithm, "--dataset", dataset]
    parts += ["--preset", preset] if preset != "paper" else []
    for change in changes:
        name, _, value = change.partition("=")
        parts += ["--set", f"{name}={value.lower() if value in ('True', 'False') else value}"]
    return parts


def as_command(parts: Sequence[str]) -> str:
    """Return words as a line for a shell."""
    return shlex.join(parts)


def _data_uri(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
