"""The supernet evaluator: shared weights, what is measured with them, and resume by replay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nasbench_evo import algorithms
from nasbench_evo.algorithms.genetic_nas import GeneticNAS, agreement
from nasbench_evo.errors import DataError, InputError, Unsupported
from nasbench_evo.evaluators import checkpointed, probing
from nasbench_evo.evaluators.probing import Probe
from nasbench_evo.evaluators.settings import SupernetSettings, read, settings
from nasbench_evo.evaluators.standalone import standalone
from nasbench_evo.evaluators.supernet import SupernetEvaluator, supernet
from nasbench_evo.evaluators.supernet_session import CHECKPOINT, SupernetSession
from nasbench_evo.requests import Evaluate, EvaluateMixtures, MeasurePaths, TrainMixture, TrainPaths
from nasbench_evo.runner import Budget, Result, search
from nasbench_evo.training.supernet_accuracy import SupernetAccuracy

pytestmark = pytest.mark.torch

TINY: dict[str, Any] = {
    "train_size": 60,
    "valid_fraction": 0.2,
    "batch_size": 20,
    "lr": 0.05,
    "channels": 2,
    "cells": 1,
    "recalibration_size": 32,
    "evaluation_batch_size": 64,
    "validation_batches": 1,
}
OF_DARTS = {**TINY, "channels": 4, "cells": 3, "partial_channels": 2}
OF_MICRO = {**TINY, "channels": 4, "micro_nodes": 2}
ENDLESS = Budget(10**9)
ALGORITHMS: dict[str, dict[str, Any]] = {
    "genetic_nas": {
        "epochs": 3,
        "generation_size": 4,
        "population_size": 3,
        "warmup": 1,
        "warmup_sampling": "fair",
        "variant": "as_published_code",
    },
    "eg_nas": {"epochs": 3, "warmup": 1, "samples": 2, "population_size": 4},
    "random_search_ws": {"epochs": 3, "candidates": 5, "sampling": "fair"},
    "darts": {"epochs": 3},
}
SPACES = {"nasbench201": TINY, "darts_cell": OF_DARTS, "micro_cell": OF_MICRO}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def evaluator(
    space: str = "nasbench201", epochs: int = 3, folder: Path | None = None, **changes: Any
) -> SupernetEvaluator:
    probe = changes.pop("probe", None)
    chosen = read(SupernetSettings, {**SPACES[space], **changes})
    return supernet(space, "digits", epochs, chosen, folder=folder, probe=probe)


def run(name: str, made: SupernetEvaluator, seed: int = 1) -> Result:
    configured = algorithms.get(name).configure("paper", ALGORITHMS[name])
    return search(configured, made, seed=seed, budget=ENDLESS)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_runs_in_every_space_it_can(name: str, space: str) -> None:
    if space == "micro_cell" and name in ("eg_nas", "darts"):
        with pytest.raises(Unsupported, match="Relaxable"):
            run(name, evaluator(space))
        return
    first, second = (run(name, evaluator(space)) for _ in range(2))
    assert first.trace_sha256 == second.trace_sha256
    assert first.genotype == second.genotype == evaluator(space).space.validate(first.genotype)
    assert {answer.source for answer in first.history} == {"supernet"}
    assert first.notes["weights"] == "shared"
    assert all(0 <= answer.valid_accuracy <= 100 for answer in first.history)


def test_another_seed_is_another_supernet() -> None:
    assert run("genetic_nas", evaluator(), 1).trace_sha256 != (
        run("genetic_nas", evaluator(), 2).trace_sha256
    )


def test_a_darts_search_moves_alpha_along_the_gradient() -> None:
    """The alpha that the session answers has a lower validation loss slope: it changed."""
    made = evaluator("nasbench201", epochs=2)
    session = made.start(0)
    from nasbench_evo.requests import TrainBilevel

    alpha = np.zeros((6, 5))
    first = session.answer(TrainBilevel(alpha, 0.1, 0.0))
    second = session.answer(TrainBilevel(first, 0.1, 0.0))
    assert first.shape == alpha.shape
    # Adam's steps have about the size of the learning rate; three batches an epoch.
    assert 0.05 < np.abs(first).max() <= 0.31
    assert np.abs(second - first).max() > 0


def test_descending_needs_no_weights_to_move_when_the_rate_is_zero() -> None:
    from nasbench_evo.requests import TrainBilevel

    alpha = np.full((6, 5), 0.25)
    answered = evaluator(epochs=1).start(0).answer(TrainBilevel(alpha, 0.0, 0.0))
    assert np.array_equal(answered, alpha)


class Stop(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_killed_run_goes_on_where_it_stopped(
    name: str, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(name, evaluator(probe=Probe(4, 2)))
    with monkeypatch.context() as patched:
        answer, left = SupernetSession.answer, after

        def stop(self: SupernetSession, request: Any) -> Any:
            nonlocal left
            if not left:
                raise Stop
            left -= 1
            return answer(self, request)

        patched.setattr(SupernetSession, "answer", stop)
        with pytest.raises(Stop):
            run(name, evaluator(folder=tmp_path, probe=Probe(4, 2)))
    resumed = run(name, evaluator(folder=tmp_path, probe=Probe(4, 2)))
    assert resumed.trace_sha256 == whole.trace_sha256
    assert resumed.notes == whole.notes
    assert resumed.genotype == whole.genotype


def test_a_lost_checkpoint_is_trained_again(tmp_path: Path) -> None:
    whole = run("genetic_nas", evaluator(folder=tmp_path))
    (tmp_path / "seed-1" / CHECKPOINT).unlink()
    again = run("genetic_nas", evaluator(folder=tmp_path))
    assert again.trace_sha256 == whole.trace_sha256


def test_a_lost_or_damaged_journal_is_trained_again(tmp_path: Path) -> None:
    """The checkpoint is ahead of it then, and not used."""
    whole = run("genetic_nas", evaluator(folder=tmp_path))
    journal = tmp_path / "seed-1" / "journal.jsonl"
    content = journal.read_bytes()
    journal.unlink()
    assert run("genetic_nas", evaluator(folder=tmp_path)).trace_sha256 == whole.trace_sha256
    journal.write_bytes(content[: len(content) // 2] + b"#" + content[len(content) // 2 + 1 :])
    with pytest.warns(UserWarning, match="is damaged"):
        again = run("genetic_nas", evaluator(folder=tmp_path))
    assert again.trace_sha256 == whole.trace_sha256


def test_a_damaged_checkpoint_says_so(tmp_path: Path) -> None:
    run("genetic_nas", evaluator(folder=tmp_path))
    file = tmp_path / "seed-1" / CHECKPOINT
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DataError, match="not a readable checkpoint"):
        run("genetic_nas", evaluator(folder=tmp_path))


def test_a_search_never_reads_test_images(monkeypatch: pytest.MonkeyPatch) -> None:
    made = evaluator()
    monkeypatch.setattr(type(made.data), "test", property(lambda self: pytest.fail("read")), False)
    run("genetic_nas", made)


def measured(made: SupernetEvaluator, genotypes: list[Any], **changes: Any) -> list[float]:
    session = made.start(3)
    session.answer(TrainPaths(lambda rng: made.space.sample(rng, 1)[0]))
    return [answer.valid_accuracy for answer in session.answer(Evaluate(genotypes))]


def test_batchnorm_modes_differ_and_are_recorded() -> None:
    genotypes = [(3, 3, 3, 3, 3, 3), (1, 2, 3, 1, 2, 3), (4, 4, 4, 3, 1, 1)]
    found = {}
    for mode in ("recalibrated", "batch", "running"):
        made = evaluator(batch_norm=mode, validation_batches=None)
        found[mode] = measured(made, genotypes)
        assert made.start(0).notes["batch_norm"] == mode
    assert len({tuple(values) for values in found.values()}) == 3


def test_a_request_says_how_it_is_measured_where_the_settings_say_otherwise() -> None:
    genotypes = [(3, 3, 3, 3, 3, 3), (1, 2, 3, 1, 2, 3), (4, 4, 4, 3, 1, 1)]

    def accuracies(made: SupernetEvaluator, **how: bool) -> list[float]:
        session = made.start(3)
        session.answer(TrainPaths(lambda rng: made.space.sample(rng, 1)[0]))
        request = Evaluate(genotypes, **how)
        return [answer.valid_accuracy for answer in session.answer(request)]

    some = evaluator(evaluation_batch_size=20)
    everything = evaluator(evaluation_batch_size=20, validation_batches=None)
    running = evaluator(evaluation_batch_size=20, validation_batches=None, batch_norm="running")
    assert accuracies(some, whole=True) == accuracies(everything)
    assert accuracies(some, whole=True, running=True) == accuracies(running)
    assert accuracies(some, running=True) == accuracies(everything, running=True)
    genotypes = genotypes[:1] * 8  # the same individual, on other images each time
    assert len(set(accuracies(some, running=True))) > 1
    assert len(set(accuracies(some))) == 1


def test_measuring_leaves_the_supernet_as_it_was() -> None:
    made = evaluator("darts_cell")
    session = made.start(0)
    before = {k: v.clone() for k, v in session._training.model.state_dict().items()}
    session.answer(Evaluate(made.space.sample(some_stream(), 3)))
    session.answer(EvaluateMixtures(np.random.default_rng(0).normal(size=(3, 2, 14, 8))))
    after = session._training.model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert session._training.model.training


def some_stream() -> Any:
    from nasbench_evo.randomness import stream

    return stream(0, "test")


def test_identical_individuals_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = evaluator()
    sizes: list[int] = []
    plain = SupernetAccuracy._measured

    def counted(self: SupernetAccuracy, forwards: Any, together: Any, seed: int) -> Any:
        sizes.append(len(forwards))
        return plain(self, forwards, together, seed)

    monkeypatch.setattr(SupernetAccuracy, "_measured", counted)
    session = made.start(0)
    cell = (3, 1, 2, 0, 4, 3)
    answers = session.answer(Evaluate([cell, (1, 1, 1, 1, 1, 1), cell]))
    assert sizes == [2]
    assert answers[0].valid_accuracy == answers[2].valid_accuracy
    alphas = np.zeros((3, 6, 5))
    alphas[1] += 1  # another alpha, the same distribution
    session.answer(EvaluateMixtures(alphas))
    assert sizes[1:] == [1]


def test_an_individual_does_not_depend_on_its_company() -> None:
    made = evaluator(validation_batches=None)
    genotypes = made.space.sample(some_stream(), 6)
    alone = [measured(made, [genotype])[0] for genotype in genotypes]
    assert measured(made, genotypes) == alone


@pytest.mark.parametrize(
    "request_", [Evaluate([(0,) * 6], fraction=0.5), Evaluate([(0,) * 6], teacher="default")]
)
def test_landmarks_and_teachers_are_refused(request_: Evaluate) -> None:
    with pytest.raises(Unsupported, match="standalone"):
        evaluator().start(0).answer(request_)


def test_genotypes_of_another_space_are_refused() -> None:
    with pytest.raises(InputError, match="nasbench201"):
        evaluator().start(0).answer(Evaluate([(9,) * 6]))


def test_a_diverged_supernet_answers_chance() -> None:
    made = evaluator(epochs=2, lr=1e20)
    session = made.start(0)
    alpha = np.zeros((6, 5))
    for _ in range(2):
        session.answer(TrainMixture(alpha))
    (answer,) = session.answer(Evaluate([(3,) * 6]))
    assert answer.valid_accuracy == 10
    assert answer.valid_loss == pytest.approx(np.log(10))
    assert session.notes["status"].startswith("diverged")


def test_more_epochs_than_the_schedule_has_are_refused() -> None:
    session = evaluator(epochs=1).start(0)
    session.answer(TrainMixture(np.zeros((6, 5))))
    with pytest.raises(InputError, match="1 epochs"):
        session.answer(TrainMixture(np.zeros((6, 5))))


def test_probes_measure_the_same_cells_at_the_epochs_asked_for() -> None:
    result = run("random_search_ws", evaluator(probe=Probe(5, 2)))
    probes = result.notes[probing.NOTE]
    assert [epoch for epoch, _ in probes] == [2, 3]  # each second epoch, and the last
    assert all(len(values) == 5 for _, values in probes)
    plain = run("random_search_ws", evaluator())
    assert plain.trace_sha256 == result.trace_sha256  # looking changes nothing


def test_probed_genotypes_are_distinct_and_fewer_begin_the_same_way() -> None:
    space = evaluator().space
    many = probing.genotypes(space, 200)
    assert len(set(many)) == 200
    assert probing.genotypes(space, 20) == many[:20]


def test_a_checkpoint_measures_what_the_last_probe_measured(tmp_path: Path) -> None:
    made = evaluator(folder=tmp_path, validation_batches=None, batch_norm="running")
    run("random_search_ws", made)
    found = checkpointed.accuracies(tmp_path / "seed-1" / CHECKPOINT, 6, 0)
    assert list(found) == probing.genotypes(made.space, 6)
    session = made.start(1)  # restored
    accuracy = session._accuracy.of_paths(list(found), 0)
    assert list(found.values()) == [value for value, _ in accuracy]


def test_the_command_predict_writes_what_a_checkpoint_says(tmp_path: Path) -> None:
    """As in the README: `predict`, then `rank-correlation` with its file."""
    from typer.testing import CliRunner

    from nasbench_evo.cli import app

    made = evaluator(folder=tmp_path)
    run("random_search_ws", made)
    file, out = tmp_path / "seed-1" / CHECKPOINT, tmp_path / "shared.csv"
    command = ["predict", str(file), "--cells", "30", "--out", str(out), "--seed", "5"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    found = checkpointed.accuracies(file, 30, 5)
    expected = [f"{made.space.format(cell)},{value!r}" for cell, value in found.items()]
    head, *lines = out.read_text().splitlines()
    assert head == "arch,accuracy"
    assert lines == expected
    for truth in (["nasbench201", "--dataset", "cifar10"], ["digits"]):
        done = CliRunner().invoke(
            app, ["rank-correlation", str(out), *truth, "--json", "--bootstrap", "20"]
        )
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["n"] == 30
    with pytest.raises(InputError, match=r"must end in \.csv"):
        CliRunner().invoke(
            app, ["predict", str(file), "--out", str(tmp_path / "x.txt")], catch_exceptions=False
        )


def test_another_checkpoint_is_refused(tmp_path: Path) -> None:
    from nasbench_evo.training import checkpoint

    checkpoint.save({"model": {}}, tmp_path / "other.pt")
    with pytest.raises(DataError, match="no checkpoint of a supernet"):
        checkpointed.accuracies(tmp_path / "other.pt", 3, 0)


@pytest.mark.parametrize(
    ("space", "values", "message"),
    [
        ("layer_graph", {}, "space of a supernet"),
        ("nasbench201", {"partial_channels": 4}, "partial_channels is not one of"),
        ("darts_cell", {"micro_nodes": 4}, "micro_nodes is not one of"),
        ("nasbench201", {"epochs": 3}, "evaluator setting"),
        ("nasbench201", {"batch_norm": "none"}, "batch_norm"),
    ],
)
def test_wrong_settings_are_refused(space: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        supernet(space, "digits", 3, read(SupernetSettings, values))


def diagnosed(made: SupernetEvaluator, random_paths: int) -> Result:
    small = {"epochs": 3, "generation_size": 4, "population_size": 3}
    configured = GeneticNAS(**small, random_paths=random_paths)
    return search(configured, made, seed=1, budget=ENDLESS)


def test_measuring_random_paths_beside_a_population_changes_no_search(tmp_path: Path) -> None:
    plain, said = diagnosed(evaluator(), 0), diagnosed(evaluator(folder=tmp_path), 6)
    assert said.trace_sha256 == plain.trace_sha256
    assert (said.genotype, said.evaluations) == (plain.genotype, plain.evaluations)
    assert said.notes["fitness"] == plain.notes["fitness"]
    assert "epochs" not in plain.notes
    notes = said.notes["epochs"]
    assert [note["epoch"] for note in notes] == [1, 1, 2, 2, 3, 3]  # two generations an epoch
    for note in notes:
        assert note["distinct"] == 3
        assert 1 <= note["distinct_children"] <= 4
        assert 1 / 3 <= note["agreement"] <= 1
        assert 0 <= note["random_paths"] <= 100
    again = diagnosed(evaluator(folder=tmp_path), 6)  # replayed from the journal
    assert again.notes["epochs"] == notes
    assert again.simulated_seconds == said.simulated_seconds


def test_what_is_measured_aside_costs_seconds_and_no_evaluations() -> None:
    session, other = evaluator().start(0), evaluator().start(0)
    for one in (session, other):
        one.answer(TrainPaths(lambda rng: (1,) * 6))
    cells = [(1,) * 6, (2,) * 6]
    aside = session.answer(MeasurePaths(cells))
    assert {answer.cost for answer in aside} == {answer.cost_seconds for answer in aside} == {0.0}
    unpaid = session._unpaid
    assert unpaid > session._training.progress.seconds
    answers = session.answer(Evaluate(cells))
    assert sum(answer.cost_seconds for answer in answers) > unpaid
    assert [a.valid_accuracy for a in answers] == [
        a.valid_accuracy for a in other.answer(Evaluate(cells))
    ]


def test_random_paths_need_shared_weights() -> None:
    made = standalone("nasbench201", "digits", settings({"train_size": 20, "epochs": 1}))
    with pytest.raises(Unsupported, match="random_paths=0"):
        made.start(0).answer(MeasurePaths([(1,) * 6]))


def test_agreement_by_hand() -> None:
    assert agreement([(0, 1), (0, 2), (0, 2)]) == pytest.approx((1 + 2 / 3) / 2)


def test_two_devices_are_refused() -> None:
    with pytest.raises(InputError, match="one device"):
        supernet("nasbench201", "digits", 3, devices=("cuda:0", "cuda:1"))


def test_training_seconds_are_paid_by_the_individuals_measured_next() -> None:
    made = evaluator()
    session = made.start(0)
    session.answer(TrainMixture(np.zeros((6, 5))))
    trained = session._training.progress.seconds
    answers = session.answer(Evaluate([(1,) * 6, (2,) * 6]))
    assert sum(answer.cost_seconds for answer in answers) > trained
    assert {answer.cost for answer in answers} == {1.0}


@pytest.mark.cuda
@pytest.mark.parametrize(
    ("space", "precision"),
    [
        ("nasbench201", "bf16"),
        pytest.param("darts_cell", "bf16", marks=pytest.mark.slow),
        pytest.param("darts_cell", "fp16", marks=pytest.mark.slow),
        ("micro_cell", "fp16"),
    ],
)
def test_cuda_runs_the_same_searches(space: str, precision: str) -> None:
    chosen = read(SupernetSettings, {**SPACES[space], "train_size": 20, "precision": precision})
    made = supernet(space, "digits", 3, chosen, devices=("cuda:0",))
    name = "genetic_nas" if space == "micro_cell" else "eg_nas"
    result = run(name, made)
    assert result.genotype == made.space.validate(result.genotype)
    assert made.identity()["device"] == "cuda"


@pytest.mark.cuda
@pytest.mark.parametrize("space", ["nasbench201", "darts_cell"])
def test_cuda_populations_equal_their_individuals(space: str) -> None:
    """The folded layout, in fp64: nothing that cuDNN may round differently."""
    chosen = read(SupernetSettings, {**SPACES[space], "precision": "fp64"})
    made = supernet(space, "digits", 3, chosen, devices=("cuda:0",))
    model = made.plan.training(made.data, 0).model
    images = torch.randn(4, 1, 8, 8, dtype=torch.float64, device="cuda")
    shape = made.space.alpha_shape  # type: ignore[attr-defined]
    weights = torch.randn(5, *shape, dtype=torch.float64, device="cuda").softmax(-1)
    model.eval()
    with torch.no_grad():
        one_by_one = torch.stack([model.forward_mixture(images, row) for row in weights])
        together = model.mixtures_together(images, weights)
    assert torch.allclose(together, one_by_one, atol=1e-9)
