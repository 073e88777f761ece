"""What every algorithm promises. A test class inherits this and names its algorithm."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import pytest
from support import constant

from nasbench_evo import algorithms
from nasbench_evo.algorithms.base import Algorithm
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.runner import Budget, Result, search
from nasbench_evo.tables import Table


class AlgorithmContract:
    """Subclass, set `name`, and give another value of every hyper-parameter in `others`.

    A dictionary holds what else must be set for that value to mean something.
    """

    name: ClassVar[str]
    others: ClassVar[dict[str, Any]] = {}
    unsupported: ClassVar[set[str]] = set()  # values in `others` that a lookup must refuse
    of_weights: ClassVar[set[str]] = set()  # in `others`, but only shared weights feel them
    budget: ClassVar[float] = 120
    longer: ClassVar[dict[str, float]] = {}  # budgets for hyper-parameters that show late

    def configured(self, **changes: Any) -> Algorithm:
        return algorithms.get(self.name).configure("paper", changes)

    def run(
        self,
        evaluator: LookupEvaluator,
        *,
        seed: int = 3,
        budget: float | None = None,
        **changes: Any,
    ) -> Result:
        allowed = Budget(budget or self.budget)
        return search(self.configured(**changes), evaluator, seed=seed, budget=allowed)

    @pytest.mark.parametrize("budget", [1, 7, 25.0, 60])
    def test_spends_exactly_the_budget(self, cifar10: LookupEvaluator, budget: float) -> None:
        result = search(self.configured(), cifar10, seed=1, budget=Budget(budget))
        assert result.evaluations <= budget
        assert result.evaluations > budget - 1  # less only where a fraction did not fit
        if all(answer.fraction == 1 for answer in result.history):
            assert result.evaluations == budget == len(result.history)

    def test_same_seed_same_trace(self, cifar10: LookupEvaluator) -> None:
        first, second = self.run(cifar10), self.run(cifar10)
        assert first.history == second.history
        assert first.trace_sha256 == second.trace_sha256

    def test_another_seed_gives_another_trace(self, cifar10: LookupEvaluator) -> None:
        assert self.run(cifar10, seed=4).trace_sha256 != self.run(cifar10).trace_sha256

    def test_a_longer_budget_only_adds_to_the_trace(self, cifar10: LookupEvaluator) -> None:
        short = search(self.configured(), cifar10, seed=2, budget=Budget(30)).history
        long = search(self.configured(), cifar10, seed=2, budget=Budget(60)).history
        assert [a.genotype for a in short] == [a.genotype for a in long[: len(short)]]

    def test_survives_constant_fitness(self, table: Table) -> None:
        result = self.run(LookupEvaluator(constant(table), "cifar10"))
        assert 0 < result.evaluations <= self.budget  # EIGEN ends when nothing improves
        assert {answer.valid_accuracy for answer in result.history} == {4.0}

    def test_every_hyperparameter_changes_the_trace(self, cifar10: LookupEvaluator) -> None:
        fields = {field.name for field in dataclasses.fields(self.configured())}
        assert set(self.others) == fields, "give another value of every hyper-parameter"
        for name, value in self.others.items():
            changes = value if isinstance(value, dict) else {name: value}
            if name in self.unsupported:
                with pytest.raises(Unsupported):
                    self.run(cifar10, **changes)
            else:
                budget = self.longer.get(name)
                plain = self.run(cifar10, budget=budget)
                changed = self.run(cifar10, budget=budget, **changes)
                same = changed.trace_sha256 == plain.trace_sha256
                assert same == (name in self.of_weights), name

    def test_presets_configure_and_run(self, cifar10: LookupEvaluator) -> None:
        cls = algorithms.get(self.name)
        assert "paper" in cls.presets
        traces = {
            search(cls.configure(preset), cifar10, budget=Budget(self.budget)).trace_sha256
            for preset in cls.presets
        }
        assert len(traces) == len(cls.presets)

    def test_never_touches_test_data(self, table: Table) -> None:
        class Guarded(Table):
            @property
            def test_accuracy(self) -> None:  # type: ignore[override]
                raise AssertionError("a search read test data")

            @test_accuracy.setter
            def test_accuracy(self, value: object) -> None: ...

        fields = {f.name: getattr(table, f.name) for f in dataclasses.fields(table)}
        guarded = Guarded.__new__(Guarded)
        for key, value in fields.items():
            if key != "test_accuracy":
                object.__setattr__(guarded, key, value)
        with pytest.raises(AssertionError):
            _ = guarded.test_accuracy
        plain = LookupEvaluator(table, "cifar100")
        assert self.run(LookupEvaluator(guarded, "cifar100")).history == self.run(plain).history

    def test_refuses_bad_hyperparameters(self) -> None:
        with pytest.raises(InputError, match="Unknown"):
            self.configured(no_such_parameter=1)
        for field in dataclasses.fields(self.configured()):
            with pytest.raises(InputError, match=field.name):
                self.configured(**{field.name: object()})
            if field.metadata["low"] is not None:
                kind = type(field.default)
                with pytest.raises(InputError, match=r"at least|between"):
                    self.configured(**{field.name: kind(-1)})
