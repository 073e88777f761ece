"""How many networks train as one: as asked for, or as many as were measured to be fastest."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from nasbench_evo.files import cache_folder, write_json
from nasbench_evo.training.execution import check_device

Jointly = int | Literal["auto"]
# By kind of device: how many times as fast as alone a network is, of so many trained jointly. The
# CPU's are of the digits' networks (docs/performance.md). No GPU was measured: these are a guess.
_KNOWN: Mapping[str, Mapping[int, float]] = {
    "cpu": {2: 0.9, 4: 1.2, 8: 1.6, 16: 1.9, 32: 2.2, 64: 2.3},
    "cuda": {2: 1.0, 8: 2.0, 32: 3.0},
}


def device_name(device: torch.device) -> str:
    """Return the name of a kind of device, fit for a file."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return name.lower().replace(" ", "-").replace("/", "-")


def _file(device: torch.device) -> Path:
    return cache_folder() / f"jointly-{device_name(device)}.json"


def measured(device: torch.device) -> Mapping[int, float]:
    """Return the speed of one of so many networks, alone being 1: the doctor's or what is known."""
    try:
        content = json.loads(_file(device).read_text(encoding="utf-8"))
        found = {int(k): float(v) for k, v in content.items()}
    except (OSError, ValueError, AttributeError):
        found = {}
    return found or _KNOWN[device.type]


def remember(device: str, speeds: Mapping[int, float]) -> Path:
    """Keep what the doctor measured for trainings on this kind of device; return the file."""
    return write_json(_file(torch.device(device)), dict(speeds))


class Picked(NamedTuple):
    """What "auto" stands for: so few networks that it pays, and how many at the most at once."""

    least: int
    most: int

    def text(self) -> str:
        """Return it as the note of a run says it."""
        if self.most == 1:
            return "networks one by one"
        return f"{self.least} networks or more as one, at most {self.most}"


def picked(device: str) -> Picked:
    """Return what "auto" stands for on a device now: the doctor may find something else later.

    At the most as many as were fastest, and no fewer than from where on all were faster than
    alone. Raises InputError for a device that is not there.
    """
    check_device(device)
    speeds = measured(torch.device(device))
    faster = list(itertools.takewhile(lambda k: speeds[k] > 1, sorted(speeds, reverse=True)))
    if not faster:
        return Picked(1, 1)
    return Picked(min(faster), max(faster, key=lambda k: speeds[k]))


def sizes(n: int, jointly: int | Picked) -> list[int]:
    """Return the sizes of the groups that n networks train in; those of a pick are equal."""
    if isinstance(jointly, int):
        return [min(jointly, n - start) for start in range(0, n, jointly)]
    if n < jointly.least:
        return [1] * n
    groups = -(-n // jointly.most)
    return [n // groups + (i < n % groups) for i in range(groups)]


def grouped(items: Sequence[Any], jointly: int | Picked) -> list[list[Any]]:
    """Return the items in groups that train as one network each, in order."""
    found, start = [], 0
    for size in sizes(len(items), jointly):
        found.append(list(items[start : start + size]))
        start += size
    return found
