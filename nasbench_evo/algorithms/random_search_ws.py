"""Random search with weight sharing (Li and Talwalkar 2019), the baseline of shared weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from nasbench_evo.algorithms.base import Algorithm, parameter
from nasbench_evo.algorithms.operators import FairPaths
from nasbench_evo.errors import Unsupported
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import Evaluate, Search, TrainPaths

_AT_ONCE = 100  # candidates asked for together


@dataclass(frozen=True)
class RandomSearchWS(Algorithm):
    """Uniform paths train the shared weights; then the best of random candidates is taken."""

    name: ClassVar[str] = "random_search_ws"
    paper: ClassVar[str] = "Li and Talwalkar 2019, Section 3"

    epochs: int = parameter(50, "epochs of shared-weight training", low=1)
    candidates: int = parameter(1000, "random genotypes evaluated at the end", low=1)
    sampling: str = parameter("uniform", "how paths are drawn", choices=("uniform", "fair"))

    def search(self, space: Any, rng: Stream) -> Search:
        """Train, then evaluate; the result is the candidate of the highest accuracy."""
        if self.sampling == "fair" and not hasattr(space, "cardinalities"):
            raise Unsupported(
                f"The genes of {space.name} have no fixed numbers of values: use sampling=uniform."
            )

        sample: Callable[[Stream], Any] = lambda training: space.sample(training, 1)[0]  # noqa: E731
        if self.sampling == "fair":
            sample = FairPaths(space.cardinalities)
        for _ in range(self.epochs):
            yield TrainPaths(sample)
        answers = []
        for start in range(0, self.candidates, _AT_ONCE):
            n = min(_AT_ONCE, self.candidates - start)
            answers += yield Evaluate(space.sample(rng, n))
        return max(answers, key=lambda answer: float(answer.valid_accuracy)).genotype
