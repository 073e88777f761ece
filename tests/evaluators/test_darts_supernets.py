"""What the papers' methods do with a DARTS supernet of their own kind, and how runs are asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import evaluation

from nasbench_evo import algorithms, spaces
from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.evaluators import specifications
from nasbench_evo.evaluators.settings import Settings, SupernetSettings, read
from nasbench_evo.evaluators.standalone import standalone
from nasbench_evo.evaluators.supernet import SupernetEvaluator, supernet
from nasbench_evo.evaluators.supernet_session import SupernetSession
from nasbench_evo.randomness import stream
from nasbench_evo.requests import EvaluateMixtures, TrainBilevel, TrainMixture
from nasbench_evo.runner import Budget, Result, search
from nasbench_evo.suite.kinds import KINDS, TrainedSearch

pytestmark = pytest.mark.torch

TINY: dict[str, Any] = {
    "train_size": 60,
    "valid_fraction": 0.2,
    "batch_size": 20,
    "lr": 0.05,
    "channels": 4,
    "cells": 3,
    "recalibration_size": 32,
    "evaluation_batch_size": 64,
    "validation_batches": 1,
}
FINAL = {
    "train_size": 60,
    "valid_fraction": 0,
    "batch_size": 20,
    "epochs": 1,
    "channels": 4,
    "cells": 3,
}
PUBLISHED = {"epochs": 3, "warmup": 1, "population_size": 6}
PC_DARTS = {"epochs": 3, "warmup": 1, "learning_rate": 0.05}


def made(
    name: str, preset: str, changes: dict[str, Any], folder: Path | None = None,
    space: str = "darts_cell", **settings: Any,
) -> tuple[algorithms.Algorithm, SupernetEvaluator]:  # fmt: skip
    """A method and its evaluator, as the command line and suites make it."""
    algorithm = algorithms.get(name).configure(preset, changes)
    wanted = TrainedSearch(algorithm, space, "digits", {**TINY, **settings}, None, ("cpu",))
    options = KINDS["supernet"].specification(wanted)
    found = specifications.make(options, "digits", folder, 1)
    assert isinstance(found, SupernetEvaluator)
    return algorithm, found


def supernet_of(evaluator: SupernetEvaluator) -> torch.nn.Module:
    return evaluator.plan.training(evaluator.data, 0).model


def run(name: str, preset: str, changes: dict[str, Any], **options: Any) -> Result:
    algorithm, evaluator = made(name, preset, changes, **options)
    return search(algorithm, evaluator, seed=1, budget=Budget(10**9))


def test_the_published_eg_nas_on_its_own_space() -> None:
    """7 operations, no BatchNorm after poolings, alpha bounded; exploration before training."""
    _, evaluator = made("eg_nas", "published_code", PUBLISHED)
    assert evaluator.space.alpha_shape == (2, 14, 7)  # type: ignore[attr-defined]
    assert not any("pool" in name for name, _ in supernet_of(evaluator).named_modules())
    first, second = (run("eg_nas", "published_code", PUBLISHED) for _ in range(2))
    assert first.trace_sha256 == second.trace_sha256
    assert len(first.history) == 2 * (1 + 3 * (6 + 1))  # alpha, then N = 3 times lambda and one
    assert first.genotype == first.returned == evaluator.space.validate(first.returned)
    epochs = [row[0] for row in first.notes["fitness"]]
    assert epochs == [1, 2]  # after one and two epochs of weights: the last epoch comes after


def test_the_published_eg_nas_on_nasbench201_with_shared_weights() -> None:
    result = run("eg_nas", "published_code", PUBLISHED, space="nasbench201", channels=2, cells=1)
    assert len(result.history) == 2 * (1 + 3 * (6 + 1))
    spread = [a.genotype for a in result.history[1:7]]
    assert spread == [a.genotype for a in result.history[8:14]]  # N = 3 strategies are one


def test_the_published_code_explores_an_epoch_on_one_batch() -> None:
    """So its strategies, which draw alike, are measured alike; the paper's have other images."""
    few = {"evaluation_batch_size": 3}  # of 12 validation images
    measured = [
        [(answer.valid_accuracy, answer.valid_loss) for answer in epoch]
        for history in [run("eg_nas", "published_code", PUBLISHED, **few).history]
        for epoch in (history[:22], history[22:])
    ]
    for _, *strategies in measured:
        assert strategies[:7] == strategies[7:14] == strategies[14:]
        assert len(set(strategies[:7])) > 1
    assert measured[0] != measured[1]

    _, evaluator = made("eg_nas", "paper", PUBLISHED, **few)
    session = evaluator.start(0)
    alphas = np.zeros((1, 2, 14, 8))
    asked = [EvaluateMixtures(alphas, same_images=same) for same in (False, True, False)]
    first, same, other = (session.answer(request)[0].valid_loss for request in asked)
    assert first == same != other


def test_the_published_individuals_are_measured_by_one_softmax(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Unit rows of 7 reach the supernet; edges of weights are their softmax."""
    shapes: list[tuple[int, ...]] = []
    plain = SupernetSession.answer

    def watched(self: SupernetSession, request: Any) -> Any:
        if isinstance(request, EvaluateMixtures) and len(request.alphas) > 1:
            shapes.append(request.alphas.shape)
            np.testing.assert_allclose((request.alphas**2).sum(-1), 1)
            weights = self._training.weights(request.alphas)
            torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
            assert weights.max() < 0.5  # unit rows: a softmax of them is nearly flat
        return plain(self, request)

    monkeypatch.setattr(SupernetSession, "answer", watched)
    run("eg_nas", "published_code", PUBLISHED)
    assert shapes == [(6, 2, 14, 7)] * 6


def test_a_search_behind_the_imagenet_stem() -> None:
    """All of it together: three halvings, populations, then a network of what was found."""
    changes = {"epochs": 2, "warmup": 1, "samples": 1, "population_size": 4}
    result = run("eg_nas", "paper", changes, stem="imagenet")
    assert len(result.history) == 1 + 5
    final = read(Settings, {**FINAL, "stem": "imagenet"})
    made_ = standalone("darts_cell", "digits", final)
    (trained,) = made_.report(result.genotype, 0)
    assert (trained.status, trained.valid_accuracy) == ("ok", None)
    assert trained.test_accuracy is not None


def test_a_setting_that_is_given_goes_before_what_a_method_asks_for() -> None:
    _, evaluator = made("eg_nas", "published_code", PUBLISHED, with_none=True)
    assert evaluator.space.alpha_shape == (2, 14, 8)  # type: ignore[attr-defined]
    assert dict(evaluator.plan.network)["pool_norm"] is False
    _, paper = made("eg_nas", "paper", PUBLISHED)
    assert paper.space.alpha_shape == (2, 14, 8)  # type: ignore[attr-defined]
    assert "pool_norm" not in dict(paper.plan.network)
    _, darts = made("darts", "paper", {"epochs": 2})
    assert dict(darts.plan.network)["partial_channels"] == 1
    _, quarter = made("darts", "paper", {"epochs": 2}, partial_channels=2)
    assert dict(quarter.plan.network)["partial_channels"] == 2


@pytest.mark.parametrize(
    ("name", "preset", "recipe", "batch", "rates"),
    [
        ("darts", "paper", "darts_search", 64, (0.025, 0.001)),
        ("darts", "pc_darts", "eg_nas_search", 256, (0.1, 0.0)),
        ("eg_nas", "paper", "eg_nas_search", 256, (0.1, 0.0)),
    ],
)
def test_recipes_of_searches(
    name: str, preset: str, recipe: str, batch: int, rates: tuple[float, float]
) -> None:
    asked = algorithms.get(name).configure(preset).shared_settings("darts_cell")
    given = specifications.shared_settings(asked, {}, "cifar10")
    from nasbench_evo.training import recipe as named

    chosen = named(read(SupernetSettings, given).recipe_name("darts_cell", "cifar10"))
    assert (chosen.name, chosen.batch_size) == (recipe, batch)
    assert (chosen.learning_rate, chosen.final_learning_rate) == rates
    on_digits = specifications.shared_settings(asked, {}, "digits")
    assert read(SupernetSettings, on_digits).recipe_name("darts_cell", "digits") == "digits"


def test_pc_darts_moves_edges_with_alpha_and_discretises_by_both() -> None:
    """Answers by hand: a first phase of weights only, then both are moved and measured."""
    space = spaces.DartsCell()
    algorithm = algorithms.get("darts").configure("pc_darts", {"epochs": 3, "warmup": 1})
    driven = algorithm.search(space, stream(0, "algorithm"))
    first = next(driven)
    assert isinstance(first, TrainMixture)
    assert first.edges is not None
    assert (first.alpha.shape, first.edges.shape) == ((2, 14, 8), (2, 14))
    measured = driven.send([])
    assert measured.edges.shape == (1, 2, 14)
    answers = [evaluation(space.poorest(), 50.0)]
    moved = driven.send(answers)
    assert isinstance(moved, TrainBilevel)
    assert (moved.learning_rate, moved.weight_decay) == (6e-4, 1e-3)
    alpha, edges = np.zeros((2, 14, 8)), np.zeros((2, 14))
    edges[:, -2:] = 3.0  # the last two edges into the last node
    driven.send((alpha, edges))
    assert np.array_equal(driven.send(answers).edges, edges)
    driven.send((alpha, edges))
    with pytest.raises(StopIteration) as ended:
        driven.send(answers)
    nodes = space.describe(ended.value.value)["normal"]
    assert [(a, b) for a, b, *_ in nodes] == [(0, 1), (0, 1), (0, 1), (3, 4)]


def test_the_share_of_an_edge_counts_beside_its_operation() -> None:
    space = spaces.DartsCell()
    rng = np.random.default_rng(0)
    alphas, edges = rng.normal(size=(5, 2, 14, 8)), rng.normal(size=(5, 2, 14))
    softmax = np.exp(alphas) / np.exp(alphas).sum(-1, keepdims=True)
    found = space.discretize(alphas, edges)
    for genotype, strongest, logits in zip(found, softmax[..., 1:].max(-1), edges, strict=True):
        for c, nodes in enumerate(space.describe(genotype).values()):
            for start, (a, b, *_) in zip((0, 2, 5, 9), nodes, strict=True):
                into = slice(start, {0: 2, 2: 5, 5: 9, 9: 14}[start])
                share = np.exp(logits[c, into]) / np.exp(logits[c, into]).sum()
                kept = np.sort(np.argsort(-strongest[c, into] * share)[:2])
                assert kept.tolist() == [a, b]
    assert space.discretize(alphas, edges) != space.discretize(alphas)
    assert space.discretize(alphas, np.full((5, 2, 14), 7.0)) == space.discretize(alphas)
    with pytest.raises(InputError, match=r"edges of 5 .* \[5, 2, 14\]; got \[2, 14\]"):
        space.discretize(alphas, edges[0])


def test_pc_darts_descends_on_edges_and_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run("darts", "pc_darts", PC_DARTS)
    moves: list[tuple[np.ndarray, np.ndarray]] = []
    plain, left = SupernetSession.answer, 5

    def stopped(self: SupernetSession, request: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        found = plain(self, request)
        if isinstance(request, TrainBilevel):
            assert request.edges is not None
            moves.append((request.edges, found[1]))
        return found

    with monkeypatch.context() as patched:
        patched.setattr(SupernetSession, "answer", stopped)
        with pytest.raises(KeyboardInterrupt):
            run("darts", "pc_darts", PC_DARTS, folder=tmp_path)
    (before, after) = moves[0]
    assert 0.01 < np.abs(after - before).max() <= 0.16  # three steps of Adam of 0.05
    again = run("darts", "pc_darts", PC_DARTS, folder=tmp_path)
    assert (again.trace_sha256, again.returned) == (whole.trace_sha256, whole.returned)


def test_edges_change_what_is_measured() -> None:
    _, evaluator = made("darts", "pc_darts", PC_DARTS)
    session = evaluator.start(0)
    alphas = np.zeros((2, 2, 14, 8))
    edges = np.zeros((2, 2, 14))
    edges[1, :, 0] = 5.0
    even, uneven = session.answer(EvaluateMixtures(alphas, edges))
    assert even.valid_loss != uneven.valid_loss
    alone = evaluator.start(0)
    (same,) = alone.answer(EvaluateMixtures(alphas[:1], edges[:1]))
    assert same.valid_loss == pytest.approx(even.valid_loss, rel=1e-5)


def test_edge_normalisation_needs_edges_to_choose() -> None:
    with pytest.raises(Unsupported, match="nodes that choose their edges; those of nasbench201"):
        made("darts", "pc_darts", PC_DARTS, space="nasbench201", channels=2, cells=1)
    session = supernet("nasbench201", "digits", 2, read(SupernetSettings, TINY)).start(0)
    with pytest.raises(Unsupported, match="no edge normalisation: use the space darts_cell"):
        session.answer(TrainMixture(np.zeros((6, 5)), np.zeros(6)))


def test_keys_of_plain_darts_do_not_name_what_it_got_later() -> None:
    plain = algorithms.get("darts").configure()
    assert set(plain.hyperparameters()) - set(plain.identity()) == {"edge_normalisation"}
    weighed = algorithms.get("darts").configure("pc_darts")
    assert weighed.identity()["edge_normalisation"] is True


@pytest.mark.parametrize(
    ("space", "name", "value", "message"),
    [
        ("nasbench201", "with_none", False, "with_none is not one of the space nasbench201"),
        ("micro_cell", "stem", "imagenet", "stem is not one of the space micro_cell"),
        ("micro_cell", "pool_norm", True, "pool_norm is not one of the space micro_cell"),
        ("darts_cell", "stem", "imagnet", "stem: Input should be 'cifar' or 'imagenet'"),
        ("darts_cell", "with_none", 0, "with_none: .*boolean"),
    ],
)
def test_settings_of_another_space_or_value(
    space: str, name: str, value: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read(SupernetSettings, {name: value}).check_space(space)


def test_relaxations_do_not_matter_to_final_trainings() -> None:
    values = {**TINY, "with_none": False}
    final = {"channels": 4, "cells": 3}
    made_ = specifications.check_supernet("darts_cell", values, final, ["digits"], ["cpu"])
    assert made_.alpha_shape == (2, 14, 7)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="final trainings need the space of the supernet"):
        specifications.check_supernet(
            "micro_cell", {"micro_nodes": 2}, {"micro_nodes": 3}, ["digits"], ["cpu"]
        )
    assert Settings().make_space("darts_cell", 8).alpha_shape == (2, 14, 8)  # type: ignore
