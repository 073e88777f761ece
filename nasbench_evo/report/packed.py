"""Arrays as a page holds them: base64 of small integers, which JSON text would make thrice as long.

The page's `unpack` reads both forms.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_STEPS = 65_534  # of a packed real number; the highest integer stands for one that is not known


def integers(values: ArrayLike) -> dict[str, Any]:
    """Return natural numbers [n] packed, two bytes each where they fit, else four."""
    array = np.asarray(values)
    small = not array.size or int(array.max()) < 2**16
    return {"bytes": 2 if small else 4, "data": _base64(array, "<u2" if small else "<u4")}


def reals(values: NDArray[np.float64]) -> dict[str, Any]:
    """Return real numbers [n] packed in two bytes each: 65,535 steps from lowest to highest."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    step = (high - low) / _STEPS or 1.0
    known = np.isfinite(values)
    steps = np.where(known, (np.where(known, values, low) - low) / step, _STEPS + 1).round()
    return {"low": low, "step": step, "bytes": 2, "data": _base64(steps, "<u2")}


def _base64(values: NDArray[Any], dtype: str) -> str:
    return base64.b64encode(values.astype(dtype).tobytes()).decode("ascii")
