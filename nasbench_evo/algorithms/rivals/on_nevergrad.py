"""Nevergrad's optimisers (Rapin and Teytaud 2018): every name of its registry."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from nasbench_evo.algorithms.base import parameter
from nasbench_evo.algorithms.rivals.bridge import Rival
from nasbench_evo.errors import InputError


@dataclass(frozen=True)
class Nevergrad(Rival):
    """An optimiser of nevergrad on an array cast to integers (a `Choice` a gene is slower)."""

    library: ClassVar[str] = "nevergrad"
    listed: ClassVar[tuple[str, ...]] = ("NGOpt", "DE", "DiscreteOnePlusOne", "CMA")

    horizon: int = parameter(300, "evaluations that it plans for: its budget", low=1)

    @classmethod
    def check_optimiser(cls, optimiser: str) -> None:
        """Raise InputError with near misses if the registry has no such name."""
        registry = _registry()
        if optimiser not in registry:
            near = difflib.get_close_matches(optimiser, registry, n=5)
            hint = f"Near misses: {', '.join(near)}" if near else f"Such as {', '.join(cls.listed)}"
            raise InputError(
                f"nevergrad has no optimiser {optimiser!a:.80}. {hint}; all {len(registry)}: "
                "sorted(nevergrad.optimizers.registry)."
            )

    def open(self, cardinalities: Sequence[int], seed: int) -> _Run:
        """Return the optimiser; it asks for one genotype at a time."""
        return _Run(self.optimiser, cardinalities, seed, self.horizon)


class _Run:
    def __init__(self, name: str, cardinalities: Sequence[int], seed: int, budget: int) -> None:
        import nevergrad

        genes = nevergrad.p.Array(
            shape=(len(cardinalities),), lower=[0] * len(cardinalities),
            upper=[cardinality - 1 for cardinality in cardinalities],
        )  # fmt: skip
        genes.set_integer_casting()
        genes.random_state.seed(seed)
        self._budget = budget
        self._optimiser = _registry()[name](parametrization=genes, budget=budget)

    def ask(self) -> list[list[int]]:
        if self._optimiser.one_shot and self._optimiser.num_ask >= self._budget:
            return []  # its plan is made for so many
        self._candidate = self._optimiser.ask()
        return [self._candidate.value.tolist()]

    def tell(self, accuracies: Sequence[float]) -> None:
        self._optimiser.tell(self._candidate, -accuracies[0])  # it minimises


def _registry() -> Any:
    with warnings.catch_warnings():  # about its own dependencies
        warnings.simplefilter("ignore")
        import nevergrad

    return nevergrad.optimizers.registry
