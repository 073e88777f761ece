"""How many networks train as one: as asked for, or as many as were measured to be fastest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from nasbench_evo.files import cache_folder, write_json

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


def sizes(n: int, jointly: Jointly, device: str) -> list[int]:
    """Return the sizes of the groups that n networks train in.

    "auto" makes groups of equal size, none larger than the fastest that was measured, and trains
    so few networks alone that it was not faster.
    """
    if jointly != "auto":
        return [min(jointly, n - start) for start in range(0, n, jointly)]
    speeds = measured(torch.device(device))
    best = max(speeds, key=lambda k: speeds[k])
    least = min((k for k, speed in speeds.items() if speed > 1), default=n + 1)
    if n < least:
        return [1] * n
    groups = -(-n // best)
    return [n // groups + (i < n % groups) for i in range(groups)]


def grouped(items: Sequence[Any], jointly: Jointly, device: str) -> list[list[Any]]:
    """Return the items in groups that train as one network each, in order."""
    found, start = [], 0
    for size in sizes(len(items), jointly, device):
        found.append(list(items[start : start + size]))
        start += size
    return found
