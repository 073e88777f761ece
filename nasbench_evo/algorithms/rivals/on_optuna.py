"""Optuna's samplers (Akiba et al. 2019), with their defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from nasbench_evo.algorithms.rivals.bridge import Rival


@dataclass(frozen=True)
class Optuna(Rival):
    """A sampler of Optuna. A gene is a category; CMA-ES, which has none, gets an integer."""

    library: ClassVar[str] = "optuna"
    listed: ClassVar[tuple[str, ...]] = (
        "TPESampler", "CmaEsSampler", "NSGAIISampler", "RandomSampler",
    )  # fmt: skip

    def open(self, cardinalities: Sequence[int], seed: int) -> _Study:
        """Return a study in memory; it asks for one genotype at a time."""
        return _Study(self.optimiser, cardinalities, seed)


class _Study:
    def __init__(self, sampler: str, cardinalities: Sequence[int], seed: int) -> None:
        import optuna
        from optuna.distributions import CategoricalDistribution, IntDistribution

        numeric = sampler == "CmaEsSampler"
        width = len(str(len(cardinalities)))
        self._genes: dict[str, Any] = {  # Optuna sorts by name
            f"{i:0{width}}": IntDistribution(0, c - 1) if numeric else
            CategoricalDistribution(tuple(range(c)))
            for i, c in enumerate(cardinalities)
        }  # fmt: skip
        options = {"warn_independent_sampling": False} if numeric else {}
        made = getattr(optuna.samplers, sampler)(seed=seed, **options)
        shown = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces every study
        try:
            self._study = optuna.create_study(direction="maximize", sampler=made)
        finally:
            optuna.logging.set_verbosity(shown)

    def ask(self) -> list[list[int]]:
        self._trial = self._study.ask(self._genes)
        return [[self._trial.params[gene] for gene in self._genes]]

    def tell(self, accuracies: Sequence[float]) -> None:
        self._study.tell(self._trial, accuracies[0])
