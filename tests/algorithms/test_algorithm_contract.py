"""Every algorithm keeps the contract."""

from __future__ import annotations

import pytest
from contracts.algorithm import AlgorithmContract

from nasbench_evo import algorithms
from nasbench_evo.algorithms import ALGORITHMS
from nasbench_evo.errors import Unsupported
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.runner import search


class TestRandomSearch(AlgorithmContract):
    name = "random_search"


class TestLocalSearch(AlgorithmContract):
    name = "local_search"


class TestRegularizedEvolution(AlgorithmContract):
    name = "regularized_evolution"
    others = {"population_size": 11, "sample_size": 4, "replacement": False}  # noqa: RUF012


class TestGeneticCNN(AlgorithmContract):
    name = "genetic_cnn"
    others = {  # noqa: RUF012
        "population_size": 10,
        "generations": 2,
        "p_mutation": 0.5,
        "q_mutation": 0.1,
        "p_crossover": 0.5,
        "q_crossover": 0.5,
        "initial": "zeros",
        "given": {"initial": "given", "given": ["000000", "333333"]},
        "flips": {"initial": "zeros", "flips": 2},
        "trainings": 1,
        "distinct": True,
        "retrainings": 8,
    }


class TestEigen(AlgorithmContract):
    name = "eigen"
    budget = 400
    unsupported = {"mimicry", "duplication"}  # noqa: RUF012
    others = {  # noqa: RUF012
        "population_size": 5,
        "primary_step": 3,
        "secondary_step": 2,
        "extinction": False,
        "first_landmark": 0.4,
        "second_landmark": 0.6,
        "p": 3,
        "q": 1,
        "patience": 2,
        "tolerance": 5.0,
        "elitist": False,
        "mimicry": True,
        "duplication": True,
        "distinct": {"distinct": True, "primary_step": 1},
        "repeated": {"repeated": True, "patience": 1},
        "retrainings": 8,
    }


class TestGeneticNAS(AlgorithmContract):
    name = "genetic_nas"
    others = {  # noqa: RUF012
        "generation_size": 10,
        "population_size": 5,
        "generations_per_epoch": 1,
        "epochs": 1,
        "p_mutation": 0.3,
        "p_crossover": 0.5,
        "q_crossover": 0.1,
        "mutation": "step",
        "warmup": 5,
        "warmup_sampling": "fair",
        "final_pick": "fitness",
        "variant": "as_published_code",
        "random_paths": 5,
        "duplicates": "mutated",
        "retrainings": 8,
    }
    unsupported = {"random_paths"}  # noqa: RUF012
    of_weights = {"warmup", "warmup_sampling"}  # noqa: RUF012
    # On a table these set the length, or the end, only.
    longer = {"generations_per_epoch": 6500, "final_pick": 12500}  # noqa: RUF012


class TestEGNAS(AlgorithmContract):
    name = "eg_nas"
    budget = 300
    others = {  # noqa: RUF012
        "epochs": 16,
        "warmup": 0,
        "samples": 2,
        "population_size": 10,
        "generations": 2,
        "xi": 2.0,
        "zeta": 30.0,
        "eta": 0.0,
        "sigma": 3.0,
        "sigma_min": 0.5,
        "update": "difference",
        "variant": "as_published_code",
        "trainings": 1,
        "retrainings": 8,
    }


class TestRandomSearchWS(AlgorithmContract):
    name = "random_search_ws"
    others = {"epochs": 3, "candidates": 50, "sampling": "fair"}  # noqa: RUF012
    of_weights = {"epochs", "sampling"}  # noqa: RUF012


class TestSuccessiveHalving(AlgorithmContract):
    name = "successive_halving"
    others = {"candidates": 27, "eta": 2, "rungs": 2}  # noqa: RUF012


class TestHyperband(AlgorithmContract):
    name = "hyperband"
    others = {"eta": 2, "rungs": 4}  # noqa: RUF012


def test_darts_needs_a_supernet(cifar10: LookupEvaluator) -> None:
    with pytest.raises(Unsupported, match="supernet"):
        search(algorithms.get("darts").configure(), cifar10)


def test_every_algorithm_has_its_contract() -> None:
    tested = {cls.name for cls in AlgorithmContract.__subclasses__() if ":" not in cls.name}
    assert tested == set(ALGORITHMS) - {"darts"}  # tested on a supernet
