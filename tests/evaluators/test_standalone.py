"""The standalone evaluator: real trainings, landmarks, teachers, journals, processes."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support import through

from nasbench_evo import algorithms
from nasbench_evo.errors import DataError, InputError, Unsupported
from nasbench_evo.evaluators.settings import parse, settings
from nasbench_evo.evaluators.standalone import StandaloneEvaluator, standalone
from nasbench_evo.incumbents import incumbent_accuracies
from nasbench_evo.requests import Evaluate, EvaluateMixtures, Evaluation, TrainPaths
from nasbench_evo.runner import Budget, Result, search
from nasbench_evo.training import jointly
from nasbench_evo.training.individuals import Job, training_seed
from nasbench_evo.training.trainer import Training

pytestmark = pytest.mark.torch

TINY = {"epochs": 2, "channels": 4, "cells": 1, "train_size": 60, "batch_size": 20, "lr": 0.05}
CELL = (3, 3, 1, 2, 0, 3)
OTHER = (1, 0, 3, 4, 2, 0)
SMALL_TEACHER = {
    "teacher_networks": 2,
    "teacher_depth": 10,
    "teacher_growth": 4,
    "teacher_epochs": 1,
}


def make(
    space: str = "nasbench201",
    *,
    workers: int = 1,
    folder: Path | None = None,
    **changes: Any,
) -> StandaloneEvaluator:
    values = {**TINY, **changes}
    if space != "nasbench201":
        values = {k: v for k, v in values.items() if k not in ("channels", "cells")}
    return standalone(space, "digits", settings(values), workers=workers, folder=folder)


def ask(evaluator: StandaloneEvaluator, *requests: Evaluate, seed: int = 0) -> list[Any]:
    session = evaluator.start(seed)
    return [answer for request in requests for answer in session.answer(request)]


def figures(answers: list[Evaluation]) -> list[tuple[object, ...]]:
    """All of the answers but the measured seconds."""
    return [answer._replace(cost_seconds=0.0) for answer in answers]


def test_an_answer_is_a_validation_accuracy_with_its_real_cost() -> None:
    (answer,) = ask(make(), Evaluate([CELL]))
    assert 0 <= answer.valid_accuracy <= 100
    assert answer.valid_loss > 0
    assert 0 < answer.cost_seconds < 60
    assert (answer.fraction, answer.cost, answer.source) == (1.0, 1.0, "training")


def test_it_is_the_trainers_own_training() -> None:
    evaluator = make()
    (answer,) = ask(evaluator, Evaluate([CELL]), seed=5)
    seed = training_seed(5, CELL, 0)
    plan = evaluator.plan
    direct = Training(plan.network_of(CELL, seed), evaluator.data, plan.recipe, seed=seed).run()
    assert (answer.valid_accuracy, answer.valid_loss) == (direct.valid_accuracy, direct.valid_loss)


def test_repeated_evaluations_are_independent_and_depend_on_no_order() -> None:
    evaluator = make()
    first, second, other = ask(evaluator, Evaluate([CELL, CELL, OTHER]))
    assert first.valid_loss != second.valid_loss
    apart = ask(evaluator, Evaluate([OTHER]), Evaluate([CELL]), Evaluate([CELL]))
    assert figures(apart) == figures([other, first, second])
    (another_run,) = ask(evaluator, Evaluate([CELL]), seed=1)
    assert another_run.valid_loss != first.valid_loss


def test_landmarks_continue_and_end_like_an_uninterrupted_training() -> None:
    evaluator = make()
    parts = [answer for (answer,) in through(evaluator.start(0), [CELL], (0.2, 0.8, 1.0))]
    (whole,) = ask(evaluator, Evaluate([CELL]))
    assert [a.cost for a in parts] == pytest.approx([0.2, 0.6, 0.2])
    assert [a.fraction for a in parts] == [0.2, 0.8, 1.0]
    assert (parts[2].valid_accuracy, parts[2].valid_loss) == (
        whole.valid_accuracy,
        whole.valid_loss,
    )


def test_twins_at_a_landmark_have_a_training_each() -> None:
    evaluator = make()
    early, final = through(evaluator.start(0), [CELL, CELL], (0.5, 1.0))
    assert early[0].valid_loss != early[1].valid_loss
    assert figures(final) == [
        a._replace(cost=0.5, cost_seconds=0.0) for a in ask(evaluator, Evaluate([CELL, CELL]))
    ]


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing() -> None:
    requests = [
        Evaluate([CELL, OTHER, CELL], 0.5),
        Evaluate([CELL, OTHER], continues=[2, 1]),
        Evaluate([OTHER]),
    ]
    evaluator = make(workers=2)
    try:
        assert figures(ask(evaluator, *requests)) == figures(ask(make(), *requests))
    finally:
        evaluator.close()


def test_joint_trainings_agree_with_single_ones() -> None:
    genotypes = [CELL, OTHER, CELL]
    alone = ask(make(precision="fp64"), Evaluate(genotypes))
    together = ask(make(precision="fp64", jointly=2), Evaluate(genotypes))
    assert [a.valid_loss for a in together] == pytest.approx(
        [a.valid_loss for a in alone], rel=1e-9
    )


def test_landmarks_and_reports_train_jointly_too(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [
        Evaluate([CELL, OTHER, CELL], 0.5),
        Evaluate([CELL, OTHER], continues=[2, 1]),
    ]
    alone, together = (make(precision="fp64", jointly=n, report_trials=3) for n in (1, 3))
    groups: list[int] = []
    run = together.pool.run
    monkeypatch.setattr(
        together.pool, "run", lambda g: run([groups.append(len(x)) or x for x in g])
    )
    figures_ = [
        [*(a.valid_loss for a in ask(e, *requests)), *(t.test_loss for t in e.report(CELL, 0))]
        for e in (alone, together)
    ]
    assert figures_[1] == pytest.approx(figures_[0], rel=1e-9)
    assert groups == [3, 2, 3]


def test_auto_joins_what_can_be_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASBENCH_EVO_CACHE", str(tmp_path))

    def groups(**changes: Any) -> list[int]:
        evaluator = make(jointly="auto", **changes)
        seed = training_seed(0, CELL, 0)
        return [len(group) for group in evaluator.groups([Job(CELL, seed)] * 8)]

    assert groups() == [8]
    for apart in ({"gradient_clip": 5.0}, {"channels_last": False}):
        assert groups(**apart) == [1] * 8
    with pytest.raises(InputError, match="jointly"):
        make(jointly="all")


def test_a_run_keeps_and_notes_what_auto_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The doctor may measure anew between the parts of a run, and before its report."""
    monkeypatch.setenv("NASBENCH_EVO_CACHE", str(tmp_path / "cache"))
    jointly.remember("cpu", {2: 1.5})
    sizes: list[int] = []

    def opened() -> Any:
        evaluator = make(jointly="auto", report_trials=2, folder=tmp_path / "unit")
        run = evaluator.pool.run
        evaluator.pool.run = lambda g: run([sizes.append(len(x)) or x for x in g])
        return evaluator, evaluator.start(0)

    evaluator, session = opened()
    session.answer(Evaluate([CELL, OTHER]))
    assert session.notes == {"jointly": "2 networks or more as one, at most 2"}
    del evaluator, session
    jointly.remember("cpu", {2: 0.5})
    evaluator, session = opened()
    session.answer(Evaluate([CELL, OTHER]))
    session.answer(Evaluate([CELL, CELL]))
    evaluator.report(CELL, 0)
    assert session.notes == {"jointly": "2 networks or more as one, at most 2"}
    assert sizes == [2, 2, 2]


def test_a_teacher_is_trained_once_and_changes_the_training(tmp_path: Path) -> None:
    evaluator = make(folder=tmp_path / "unit", **SMALL_TEACHER)
    plain, taught = ask(evaluator, Evaluate([CELL]), Evaluate([CELL], teacher="default"))
    assert plain.valid_loss != taught.valid_loss
    (file,) = tmp_path.glob("teacher-*.pt")
    before = file.stat().st_mtime_ns
    ask(evaluator, Evaluate([CELL], teacher="default"), seed=3)  # another run shares it
    assert file.stat().st_mtime_ns == before
    with pytest.raises(Unsupported, match="default"):
        ask(evaluator, Evaluate([CELL], teacher="mine"), seed=2)
    with pytest.raises(Unsupported, match="teacher_networks"):
        ask(make(), Evaluate([CELL], teacher="default"))


def test_a_teacher_weaker_than_its_student_is_noted(tmp_path: Path) -> None:
    evaluator = make(epochs=8, folder=tmp_path / "unit", **SMALL_TEACHER)
    session = evaluator.start(0)
    (answer,) = session.answer(Evaluate([CELL], teacher="default"))
    known = evaluator.teacher.accuracy()
    assert answer.valid_accuracy > known, "the teacher has an epoch, the student eight"
    note = f"validation accuracy {known:.2f} %, weaker than its best student"
    assert session.notes == {"teacher": note}
    (file,) = tmp_path.glob("teacher-*.pt")
    file.unlink()  # a replay needs no teacher
    again = evaluator.start(0)
    again.answer(Evaluate([CELL], teacher="default"))
    assert again.notes == session.notes
    assert not file.exists()
    plain = evaluator.start(1)
    plain.answer(Evaluate([CELL]))
    assert plain.notes == {}


def test_the_report_is_taught_where_the_search_was() -> None:
    evaluator = make(report_trials=1, **SMALL_TEACHER)
    (plain,), (taught,) = evaluator.report(CELL, 0), evaluator.report(CELL, 0, taught=True)
    assert plain.valid_loss != taught.valid_loss
    assert taught == dataclasses.replace(
        evaluator.report(CELL, 0, taught=True)[0], seconds=taught.seconds
    )


def test_mimicry_without_a_teacher_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    session = make(folder=tmp_path).start(0)
    journal = tmp_path / "seed-0" / "journal.jsonl"
    before = journal.read_bytes() if journal.exists() else b""
    with pytest.raises(Unsupported, match="teacher_networks=4"):
        session.answer(Evaluate([CELL], teacher="default"))
    assert (journal.read_bytes() if journal.exists() else b"") == before


def test_a_split_by_numbers_and_local_contrast_are_options_of_the_data() -> None:
    plain = make().identity()
    assert "valid_per_class" not in plain["data"]  # as older keys have it
    assert "local_contrast" not in plain["recipe"]["augmentation"]
    other = make(valid_per_class=5, local_contrast=True)
    assert other.identity()["data"]["valid_per_class"] == (5,)
    assert other.identity()["recipe"]["augmentation"]["local_contrast"]
    assert other.data.valid.labels.bincount().tolist() == [5] * 10
    (answer,) = other.start(0).answer(Evaluate([CELL]))
    assert answer.valid_accuracy % 2 == 0  # of 50 images
    with pytest.raises(InputError, match="not both"):
        make(valid_per_class=5, valid_fraction=0.2)


@pytest.mark.parametrize("name", ["teacher_depth", "teacher_epochs", "alpha", "temperature"])
def test_settings_of_mimicry_need_a_teacher(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is of mimicry"):
        make(**{name: 1})


def test_a_diverged_training_has_the_fitness_of_chance_and_is_noted() -> None:
    session = make(lr=1e30).start(0)
    (answer,) = session.answer(Evaluate([CELL]))
    assert answer.valid_accuracy == 10.0
    assert session.notes["status"].startswith("1 diverged; last: ")


def test_a_failed_training_has_the_fitness_of_chance_and_is_noted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def accumulate(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Training, "_accumulate", accumulate)
    session = make().start(0)
    (answer,) = session.answer(Evaluate([CELL]))
    assert answer.valid_accuracy == 10.0
    assert "1 failed; last: out of memory" in session.notes["status"]


def test_requests_for_shared_weights_train_candidates_from_scratch() -> None:
    evaluator = make()
    session = evaluator.start(0)
    assert session.answer(TrainPaths(lambda rng: CELL)) == []
    assert session.notes == {"weights": "own"}
    import numpy as np

    alphas = np.eye(5)[list(CELL)][None]
    (answer,) = session.answer(EvaluateMixtures(alphas))
    assert answer.genotype == CELL
    assert answer.valid_loss is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epocs": 3}, "Did you mean 'epochs'"),
        ({"epochs": "three"}, "epochs"),
        ({"epochs": 0}, "epochs"),
        ({"widths": "search"}, "widths is not one of the space nasbench201"),
        ({"iterations": 5}, "epochs or iterations"),
        ({"recipe": "cifar"}, "Unknown recipe"),
        ({"momentum": 2.0}, "momentum"),
    ],
)
def test_wrong_settings_are_explained(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(**changes)


def test_settings_are_read_from_text() -> None:
    assert parse(["epochs=3", "whitening=true", "nodes=3,4", "recipe=digits"]) == {
        "epochs": 3,
        "whitening": True,
        "nodes": [3, 4],
        "recipe": "digits",
    }
    with pytest.raises(InputError, match="key=value"):
        parse(["epochs"])


def test_a_device_that_is_not_there_is_refused() -> None:
    evaluator = standalone("nasbench201", "digits", settings(TINY), devices=["cuda:99"])
    with pytest.raises(InputError, match="no device cuda:99"):
        ask(evaluator, Evaluate([CELL]))


def test_every_setting_of_a_training_is_part_of_the_identity() -> None:
    base = json.dumps(make().identity(), sort_keys=True)
    others = [
        {"epochs": 3}, {"lr": 0.06}, {"batch_size": 10}, {"channels": 8}, {"cells": 2},
        {"train_size": 61}, {"split_seed": 1}, {"valid_fraction": 0.3}, {"precision": "bf16"},
        {"whitening": True}, {"jointly": 2}, {"threads": 2}, {"deterministic": True},
        {"report_trials": 2}, SMALL_TEACHER,
    ]  # fmt: skip
    found = {json.dumps(make(**change).identity(), sort_keys=True) for change in others}
    assert len(found | {base}) == len(others) + 1
    assert json.dumps(make(workers=3).identity(), sort_keys=True) == base


ALGORITHMS: dict[str, dict[str, Any]] = {
    "random_search": {},
    "regularized_evolution": {"population_size": 3, "sample_size": 2},
    "local_search": {},
    "genetic_cnn": {"population_size": 4, "generations": 2},
    "eigen": {"population_size": 3, "patience": 1, "p": 2, "q": 1, "primary_step": 3},
    "genetic_nas": {"population_size": 3, "generation_size": 3},
    "eg_nas": {"warmup": 0, "samples": 1, "population_size": 4},
    "successive_halving": {},
    "hyperband": {"eta": 2},
}


def run(name: str, evaluator: StandaloneEvaluator, budget: float = 8, **changes: Any) -> Result:
    configured = algorithms.get(name).configure("paper", {**ALGORITHMS[name], **changes})
    return search(configured, evaluator, seed=1, budget=Budget(budget))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_all_algorithms_run_and_replay(name: str, tmp_path: Path) -> None:
    first = run(name, make(epochs=1, folder=tmp_path))
    assert first.evaluations <= 8
    assert {answer.source for answer in first.history} == {"training"}
    replayed = run(name, make(epochs=1, folder=tmp_path))
    assert replayed.history == first.history  # seconds too: nothing was trained
    assert replayed.trace_sha256 == first.trace_sha256


@pytest.mark.parametrize(
    ("space", "name"),
    [
        ("binary_stages", "genetic_cnn"),
        ("binary_stages", "random_search"),
        ("layer_graph", "random_search"),
    ],
)
def test_native_spaces(space: str, name: str) -> None:
    extra = {"sample_steps": 3} if space == "layer_graph" else {}
    result = run(name, make(space, epochs=1, **extra), budget=6)
    assert len(result.history) == 6


def test_eigen_in_its_own_space_with_everything_on() -> None:
    evaluator = make("layer_graph", epochs=1, **SMALL_TEACHER)
    result = run(
        "eigen", evaluator, 60, secondary_step=2, mimicry=True, duplication=True, extinction=True
    )
    assert {answer.fraction for answer in result.history} > {0.2, 1.0}
    assert result.evaluations < 60  # it ended by itself, after the duplication
    assert "children of the last parent made" in result.notes["duplication"]


def test_eigen_without_layers_to_duplicate_ends() -> None:
    """The poorest graph has no blocks: nothing is asked, and the search ends."""
    evaluator = make("layer_graph", epochs=1)
    result = run("eigen", evaluator, 60, primary_step=0, secondary_step=0, duplication=True)
    assert {len(answer.genotype) for answer in result.history} == {1}
    assert result.notes["duplication"].startswith("0 children of the last parent made, 0 trained")


def test_algorithms_refuse_spaces_that_they_cannot_vary() -> None:
    with pytest.raises(Unsupported, match="Integer; layer_graph is not"):
        run("genetic_cnn", make("layer_graph"))


def test_the_report_shares_no_training_with_the_search() -> None:
    evaluator = make(report_trials=2)
    (seen,) = ask(evaluator, Evaluate([CELL]))
    reported = evaluator.report(CELL, 0)
    assert len(reported) == 2
    assert all(0 <= (one.test_accuracy or -1) <= 100 for one in reported)
    assert len({seen.valid_loss, *(one.valid_loss for one in reported)}) == 3


def test_incumbents_as_seen_rise() -> None:
    points = incumbent_accuracies(run("genetic_cnn", make(epochs=1)).history, "seen")
    accuracies = [accuracy for _, _, accuracy in points]
    assert accuracies == sorted(accuracies)
    assert points[0][0] == 1.0


class Killed(BaseException):
    """Stands for a kill between two trainings."""


def killed_after(evaluator: StandaloneEvaluator, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run EIGEN with landmarks and stop it before training n + 1."""
    from nasbench_evo.training import pool

    trained, done = pool.train, [0]

    def train(*arguments: Any) -> Any:
        if done[0] == n:
            raise Killed
        done[0] += 1
        return trained(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(pool, "train", train)
        with pytest.raises(Killed):
            run("eigen", evaluator, 10)


@pytest.mark.parametrize("n", [0, 1, 3, 6, 9])
def test_a_run_goes_on_where_it_was_killed(
    n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_after(make(folder=tmp_path / "a"), n, monkeypatch)
    journal = tmp_path / "a" / "seed-1" / "journal.jsonl"
    with journal.open("ab") as file:  # what a kill may leave of a line
        file.write(b'{"training": "12')
    resumed = run("eigen", make(folder=tmp_path / "a"), 10)
    whole = run("eigen", make(folder=tmp_path / "b"), 10)
    assert figures(resumed.history) == figures(whole.history)
    assert resumed.trace_sha256 == whole.trace_sha256


def test_a_replay_that_asks_for_something_else_is_an_error(tmp_path: Path) -> None:
    run("random_search", make(folder=tmp_path), 4)
    with pytest.raises(DataError, match=r"Request \d of the resumed run"):
        run("local_search", make(folder=tmp_path), 4)


def test_the_journal_of_another_recipe_is_an_error(tmp_path: Path) -> None:
    run("random_search", make(folder=tmp_path), 2)
    with pytest.raises(DataError, match="another run"):
        run("random_search", make(folder=tmp_path, epochs=3), 2)


def test_a_damaged_journal_is_trained_again_from_there_on(tmp_path: Path) -> None:
    """Also where checkpoints that it went on from are gone: landmarks are reached anew."""
    whole = run("eigen", make(folder=tmp_path), 10)
    journal = tmp_path / "seed-1" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    for number in (0, len(lines) // 3, len(lines) - 3):
        journal.write_bytes(b"".join([*lines[:number], b"{\n", *lines[number + 1 :]]))
        with pytest.warns(UserWarning, match="is damaged"):
            again = run("eigen", make(folder=tmp_path), 10)
        assert again.trace_sha256 == whole.trace_sha256


PROGRAM = """
import sys
from pathlib import Path
sys.path[:0] = {tests!r}
from test_standalone import make, run
print(run("eigen", make(folder=Path({folder!r}), epochs=4), 30).trace_sha256)
"""


@pytest.mark.slow
def test_kill_9_loses_no_finished_training(tmp_path: Path) -> None:
    own = Path(__file__).parent
    tests = [str(own), str(own.parent)]
    program = PROGRAM.format(tests=tests, folder=str(tmp_path / "a"))
    journal = tmp_path / "a" / "seed-1" / "journal.jsonl"
    lines = 0
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        deadline = time.monotonic() + 120
        before = lines
        while lines < before + 4 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
            lines = journal.read_bytes().count(b"\n") if journal.exists() else 0
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert journal.read_bytes().count(b"\n") >= lines > before
    resumed = run("eigen", make(folder=tmp_path / "a", epochs=4), 30)
    assert resumed.trace_sha256 == run("eigen", make(epochs=4), 30).trace_sha256
