"""What a search on relaxations says of its alpha after a step; figures read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.requests import Note

EPOCH, LARGEST, DECIDED, CHANGED = "epoch", "max_alpha", "largest_softmax", "argmax_changed"


def note(epoch: int, before: NDArray[np.float64], alpha: NDArray[np.float64]) -> Note:
    """Return what a step did to alpha [.., operations].

    max|alpha|, the mean over edges of the largest softmax, and whether the argmax of an edge
    changed. `epoch` counts from 1.
    """
    e = np.exp(alpha - alpha.max(-1, keepdims=True))
    return Note(
        {
            EPOCH: epoch,
            LARGEST: float(f"{np.abs(alpha).max():.6g}"),
            DECIDED: round(float((e.max(-1) / e.sum(-1)).mean()), 6),
            CHANGED: bool((before.argmax(-1) != alpha.argmax(-1)).any()),
        }
    )


def is_note(values: Mapping[str, Any]) -> bool:
    """Whether the values of a note are of a step of alpha."""
    return {EPOCH, LARGEST, DECIDED, CHANGED} <= set(values)
