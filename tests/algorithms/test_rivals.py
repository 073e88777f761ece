"""Other libraries' optimisers behind our generator: seeded, on any integer space, by name."""

from __future__ import annotations

import copy
import pickle
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contracts.algorithm import AlgorithmContract
from numpy.random import mtrand
from support import cli, evaluation

import nasbench_evo as ne
from nasbench_evo import algorithms, spaces
from nasbench_evo.algorithms import external, rivals, stand_ins
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.evaluators.lookup import LookupEvaluator
from nasbench_evo.requests import Evaluate
from nasbench_evo.runner import AskTell, Budget, search
from nasbench_evo.spaces.choices import Choices, Gene

pytest.importorskip("optuna")
pytest.importorskip("nevergrad")
pytest.importorskip("pymoo")

NAMES = [
    "optuna:TPESampler",
    "optuna:CmaEsSampler",
    "optuna:NSGAIISampler",
    "optuna:RandomSampler",
    "nevergrad:NGOpt",
    "nevergrad:DE",
    "nevergrad:DiscreteOnePlusOne",
    "nevergrad:CMA",
    "pymoo:GA",
]


class TestOptuna(AlgorithmContract):
    name = "optuna:NSGAIISampler"
    budget = 60


class TestNevergrad(AlgorithmContract):
    name = "nevergrad:ScrHammersleySearch"  # its plan depends on its length, as of few
    others = {"horizon": 500}  # noqa: RUF012


class TestPymoo(AlgorithmContract):
    name = "pymoo:GA"
    others = {"population_size": 10}  # noqa: RUF012
    budget = 60


def run(name: str, evaluator: LookupEvaluator, seed: int = 0) -> Any:
    return search(algorithms.get(name).configure(), evaluator, seed=seed, budget=Budget(45))


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_one_trace_whatever_the_process_draws(name: str, cifar10: LookupEvaluator) -> None:
    """Neither does the process's random state change a run, nor a run that state."""
    first = run(name, cifar10)
    mtrand.random_sample(7)
    random.random()  # noqa: S311
    before = copy.deepcopy(mtrand.get_state()), random.getstate()
    again, other = run(name, cifar10), run(name, cifar10, seed=1)
    after = mtrand.get_state(), random.getstate()
    assert again.history == first.history
    assert again.trace_sha256 == first.trace_sha256 != other.trace_sha256
    assert np.array_equal(before[0][1], after[0][1])
    assert before[0][2] == after[0][2]
    assert before[1] == after[1]
    library = name.partition(":")[0]
    assert first.notes["library"].startswith(f"{library} ")  # the trace is of that version


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "space",
    [
        Choices(
            "odd", [Gene("a", (1, 2)), Gene("b", tuple("abcdefg")), Gene("c", (1, 2, 3), True)]
        ),
        spaces.get("darts_cell"),
    ],
    ids=lambda space: space.name,
)
def test_any_integer_space(name: str, space: spaces.IntegerSpace) -> None:
    driven = AskTell(algorithms.get(name).configure(), space, seed=2)
    seen: list[Any] = []
    while len(seen) < 30 and (request := driven.ask()) is not None:
        assert isinstance(request, Evaluate)
        for genotype in request.genotypes:
            assert space.validate(genotype) == genotype
            assert all(type(gene) is int for gene in genotype)
            seen.append(genotype)
        driven.tell([evaluation(genotype, 10.0 + sum(genotype)) for genotype in request.genotypes])
    assert len(set(seen)) > 1
    driven.end()


@pytest.mark.parametrize("name", [name for name in NAMES if "Random" not in name])
def test_it_maximises_what_it_is_told(name: str) -> None:
    """Told the sum of the genes it asks for larger ones than told the sum's opposite."""
    means = []
    for sign in (1, -1):
        driven, sums = AskTell(algorithms.get(name).configure(), spaces.NASBench201(), seed=4), []
        while len(sums) < 120:
            request = driven.ask()
            assert isinstance(request, Evaluate)
            sums += [sum(one) for one in request.genotypes]
            driven.tell([evaluation(one, 50.0 + sign * sum(one)) for one in request.genotypes])
        means.append(np.mean(sums[60:120]))
    assert means[0] > means[1] + 2


def test_a_space_that_is_used_up_ends_the_search() -> None:
    """pymoo's GA asks for no genotype twice: of 6 genotypes it asks 6."""
    small = Choices("small", [Gene("a", (1, 2)), Gene("b", (1, 2, 3))])
    driven, seen = AskTell(algorithms.get("pymoo:GA").configure(), small, seed=0), []
    while (request := driven.ask()) is not None and len(seen) < 50:
        assert isinstance(request, Evaluate)
        seen += request.genotypes
        driven.tell([evaluation(one, 1.0 * sum(one)) for one in request.genotypes])
    assert driven.done
    assert len(seen) == len(set(seen)) <= 6


def test_a_plan_ends_the_search_and_a_failure_is_ours(cifar10: LookupEvaluator) -> None:
    planned = algorithms.get("nevergrad:MetaRecentering").configure("paper", {"horizon": 12})
    result = search(planned, cifar10, seed=1, budget=Budget(50))
    assert result.evaluations == 12
    assert result.notes["library"].endswith("asked for no more")

    class Broken(rivals.Rival):
        library, optimiser, name, paper = "pymoo", "X", "pymoo:X", "none"

        def open(self, cardinalities: Any, seed: int) -> Any:
            raise RuntimeError("no such thing")

    with pytest.raises(Unsupported, match="pymoo:X failed in its library: RuntimeError: no such"):
        search(Broken(), cifar10, budget=Budget(5))


def test_names_near_misses_and_the_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, near in [
        ("optuna:TPESample", "Did you mean 'TPESampler'"),
        ("nevergrad:DiscreteOnePlusOn", "Near misses: DiscreteOnePlusOne"),
        ("nevergrad:qqqq", "Such as NGOpt"),
        ("pymoo:DE", "Known: GA"),
        ("optuna:", "Known: CmaEsSampler"),
        ("TPESampler", "Did you mean 'optuna:TPESampler'"),
    ]:
        with pytest.raises(InputError, match=near):
            algorithms.get(name)
    assert algorithms.get("nevergrad:DE") is algorithms.get("nevergrad:DE")
    with pytest.raises(Unsupported, match="Integer; layer_graph is not"):
        algorithms.get("nevergrad:DE").configure().check_space(spaces.get("layer_graph"))
    rivals.get.cache_clear()
    monkeypatch.setattr(rivals.importlib.util, "find_spec", lambda name: None)
    for name in ("optuna:RandomSampler", "nevergrad:PSO", "pymoo:GA"):
        with pytest.raises(Unsupported, match=r"pip install 'nasbench-evo\[rivals\]'"):
            algorithms.get(name)
    # Results that hold such a row are read all the same.
    monkeypatch.setattr(stand_ins, "_KNOWN", {"pymoo:GA": stand_ins.StandIn})
    monkeypatch.setattr(stand_ins, "is_imported", lambda name: False)
    assert algorithms.get("pymoo:GA") is stand_ins.StandIn


def test_nothing_is_imported_for_a_name_of_optuna() -> None:
    code = (
        "import sys; from nasbench_evo import algorithms\n"
        "algorithms.get('optuna:TPESampler').configure(); algorithms.get('pymoo:GA')\n"
        "sys.exit('optuna' in sys.modules or 'pymoo' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_workers_get_them_by_name() -> None:
    made = algorithms.get("nevergrad:DE").configure("paper", {"horizon": 40})
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301
    assert external.installed().keys().isdisjoint(NAMES)


SUITE = """
name = "peers"
datasets = ["cifar10"]
seeds = 3
evaluations = 20
checkpoints = [10, 20]
rows = [
    { algorithm = "nevergrad:DE", set = { horizon = 20 } },
    { algorithm = "optuna:NSGAIISampler" },
    { algorithm = "random_search" },
    { algorithm = "regularized_evolution" },
]
"""


@pytest.mark.slow
def test_suites_figures_gate_and_search_take_them(tmp_path: Path) -> None:
    (tmp_path / "peers.toml").write_text(SUITE)
    for words in [
        "run peers.toml --out out --workers 2",
        "figures out --format svg",
        "report out",
        "check peers.toml --accept --baseline base.json --seeds 20 --workers 2",
    ]:
        done = cli(*words.split(), cwd=tmp_path)
        assert done.returncode == 0, f"{words}: {done.stdout[-800:]} {done.stderr[-800:]}"
    checked = cli("check", "peers.toml", "--baseline", "base.json", cwd=tmp_path)
    assert re.search(r"pass  A traces: (\d+) of \1 runs equal", checked.stdout)
    again = cli("run", "peers.toml", "--out", "out", cwd=tmp_path)
    assert again.returncode == 0
    assert "new runs" not in again.stdout
    found = cli("search", "nevergrad:PSO", "--evaluations", 12, "--set", "horizon=12", "--json")
    assert '"algorithm": "nevergrad:PSO"' in found.stdout
    wrong = cli("search", "nevergrad:PS")
    assert wrong.returncode == 2
    assert "Near misses: PSO" in " ".join(wrong.stderr.split())


def test_the_python_search() -> None:
    result = ne.search("optuna:RandomSampler", budget=15, seed=2)
    assert result.evaluations == 15


def test_workers_share_no_draws(cifar10: LookupEvaluator) -> None:
    """Two runs in turns in one process are what each is alone."""
    names = ["nevergrad:DE", "nevergrad:PSO"]
    driven = [AskTell(algorithms.get(n).configure(), cifar10.space, seed=6) for n in names]
    asked: list[list[Any]] = [[], []]
    for _ in range(40):
        for one, own in zip(driven, asked, strict=True):
            request = one.ask()
            assert isinstance(request, Evaluate)
            own += request.genotypes
            one.tell([evaluation(g, 50.0 + sum(g)) for g in request.genotypes])
    for name, own in zip(names, asked, strict=True):
        alone = AskTell(algorithms.get(name).configure(), cifar10.space, seed=6)
        for genotype in own:
            request = alone.ask()
            assert isinstance(request, Evaluate)
            assert request.genotypes == [genotype]
            alone.tell([evaluation(genotype, 50.0 + sum(genotype))])
    assert asked[0] != asked[1]
