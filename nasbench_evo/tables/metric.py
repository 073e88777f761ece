"""What a table measures, and the score that algorithms maximise in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasbench_evo import names
from nasbench_evo.errors import InputError, unknown

_KEYS = ("name", "unit", "worst", "best")


@dataclass(frozen=True)
class Metric:
    """A measured number and its score: 100 at `best`, 0 at `worst` and beyond, straight between.

    The rule is monotone, so that a search for the highest score is one for the best metric (but
    for genotypes that are no better than `worst`, which all score 0). For the mean squared error
    of standardised targets, worst = 1 is that of predicting their mean: the score is then 100 times
    the explained variance.
    """

    name: str
    unit: str
    worst: float
    best: float

    @property
    def direction(self) -> str:
        """Whether the metric is maximised or minimised: "max" or "min"."""
        return "max" if self.best > self.worst else "min"

    def score(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return the scores of measured values, 0..100."""
        if self == ACCURACY:
            return np.asarray(values, np.float64)
        found = 100 * (np.asarray(values, np.float64) - self.worst) / (self.best - self.worst)
        return np.asarray(np.clip(found, 0.0, 100.0))

    def value(self, score: float) -> float:
        """Return the metric of a score above 0."""
        return self.worst + score / 100 * (self.best - self.worst)

    def to_json(self) -> dict[str, Any]:
        """Return the metric as plain JSON; `of_content` makes it again."""
        return {"name": self.name, "unit": self.unit, "worst": self.worst, "best": self.best}


ACCURACY = Metric("accuracy", "%", 0.0, 100.0)


def of_content(content: Any, origin: str) -> Metric:
    """Return the metric of a space.toml's [metric]; raise InputError naming what is wrong."""
    if content is None:
        return ACCURACY
    if not isinstance(content, dict):
        raise InputError(f"{origin}: [metric] has {', '.join(_KEYS)}; got {content!r}.")
    for key in sorted(set(content) - set(_KEYS)):
        raise unknown("key", key, _KEYS)
    try:
        worst, best = float(content["worst"]), float(content["best"])
        metric = Metric(str(content["name"]), str(content.get("unit", "")), worst, best)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{origin}: [metric] needs a name, and the numbers worst and best: {error}."
        ) from error
    names.checked("a metric's name and unit", metric.name + metric.unit)
    if not np.isfinite([worst, best]).all() or worst == best:
        raise InputError(f"{origin}: worst and best of a metric differ and are finite.")
    return metric
