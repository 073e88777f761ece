"""Training on an emulated GPU: the CPU's values, no waiting inside a step, and the faults of old.

`support.fake_cuda` says what the emulation can show and what it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.fake_cuda import Machine, WrongDevice, fake_cuda

from nasbench_evo.errors import DataError, InputError
from nasbench_evo.evaluators import checkpointed
from nasbench_evo.evaluators.settings import SupernetSettings, read, settings
from nasbench_evo.evaluators.standalone import standalone
from nasbench_evo.evaluators.supernet import SupernetEvaluator, supernet
from nasbench_evo.networks import build, operations
from nasbench_evo.networks.nasbench201.network import NASBench201Network
from nasbench_evo.randomness import Stream
from nasbench_evo.requests import TrainPaths
from nasbench_evo.spaces import get
from nasbench_evo.training import (
    Augmentation,
    Execution,
    Recipe,
    Training,
    load_dataset,
    weights_generator,
)
from nasbench_evo.training.execution import check_device
from nasbench_evo.training.individuals import DataOptions, Job, TrainingPlan, train
from nasbench_evo.training.joint import JointTraining

pytestmark = pytest.mark.torch

CELL = (3, 1, 2, 4, 3, 2)
RECIPE = Recipe(
    "short", 2, batch_size=20, nesterov=True, gradient_clip=5.0,
    augmentation=Augmentation(flip=0.5, crop_padding=1, cutout=2),
)  # fmt: skip
JOINT = Recipe("short", 2, batch_size=20, augmentation=Augmentation(crop_padding=1))
TINY = {
    "train_size": 40,
    "batch_size": 20,
    "channels": 2,
    "cells": 1,
    "recalibration_size": 20,
    "validation_batches": 1,
    "precision": "fp64",
}
OF_SPACE: dict[str, dict[str, Any]] = {
    "nasbench201": TINY,
    "darts_cell": {**TINY, "channels": 4, "cells": 3, "partial_channels": 2},
    "micro_cell": {**TINY, "channels": 4, "micro_nodes": 2},
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(
    seed: int = 0, space: str = "nasbench201", genotype: Any = CELL, sizes: Any = None, **more: Any
) -> Any:
    options = {"classes": 10, "in_channels": 1, "image_size": 8, **more}
    options |= sizes or {"channels": 4, "cells": 1}
    return build(genotype, get(space), generator=weights_generator(seed), **options)


def training(device: str, precision: Any = "fp64", **changes: Any) -> Training:
    data = load_dataset(train_size=40, device=device)
    return Training(
        network(), data, RECIPE, seed=1, execution=Execution(precision=precision, **changes)
    )


def shared(space: str, device: str, **changes: Any) -> SupernetEvaluator:
    chosen = read(SupernetSettings, {**OF_SPACE[space], **changes})
    return supernet(space, "digits", 2, chosen, devices=(device,))


def weights(model: Any) -> list[torch.Tensor]:
    return [value.cpu() for value in model.state_dict().values()]


def same(ours: Any, theirs: list[torch.Tensor]) -> None:
    for a, b in zip(weights(ours), theirs, strict=True):
        assert torch.equal(a, b)


# -- the CPU's values, and nothing that a step waits for ---------------------------------------


def steps(space: str, kind: str, device: str) -> tuple[Any, Callable[[], None]]:
    """A supernet, and an epoch (two steps) of it."""
    evaluator = shared(space, device)
    made = evaluator.plan.training(evaluator.data, 0)
    genotypes = iter(evaluator.space.sample(Stream(0), 9))
    if kind == "path":
        return made, lambda: made.train_paths(lambda: next(genotypes))
    alpha = np.linspace(-1, 1, int(np.prod(evaluator.space.alpha_shape)))  # type: ignore[attr-defined]
    return made, lambda: made.train_mixture(alpha.reshape(evaluator.space.alpha_shape))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("space", "kind", "kernels"),
    [  # kernels of two steps, at most: 1 to 2 % above what they are
        ("nasbench201", "path", 242),
        ("nasbench201", "mixture", 1320),
        ("darts_cell", "path", 1405),
        ("darts_cell", "mixture", 4150),
        ("micro_cell", "path", 840),
    ],
)
def test_a_supernet_step_is_the_cpus_and_waits_for_nothing(
    space: str, kind: str, kernels: int
) -> None:
    plain, epoch = steps(space, kind, "cpu")
    epoch()
    with fake_cuda() as machine:
        emulated, epoch = steps(space, kind, "cuda")
        machine.reset()
        epoch()
        assert machine.copies == {}
        assert list(machine.waits.values()) == [1]  # at the end of the epoch
        assert sum(machine.kernels.values()) <= kernels
        same(emulated.model, weights(plain.model))


def test_a_mixture_step_of_eg_nas_size_takes_few_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cells, a quarter of the channels mixed: 5,055 kernels a step."""
    sizes = {"channels": 16, "cells": 8, "partial_channels": 4}
    monkeypatch.setitem(OF_SPACE, "darts_cell", {**TINY, **sizes})
    with fake_cuda() as machine:
        _, epoch = steps("darts_cell", "mixture", "cuda")
        machine.reset()
        epoch()
        assert machine.copies == {}
        assert sum(machine.kernels.values()) <= 2 * 5140


@pytest.mark.parametrize(("space", "kernels"), [("nasbench201", 1050), ("micro_cell", 2125)])
def test_a_population_is_the_cpus_and_no_copy_blocks(space: str, kernels: int) -> None:
    """Recalibration included, which copies the statistics of the layers that a path uses."""

    def measured(device: str) -> Any:
        evaluator = shared(space, device)
        genotypes = evaluator.space.sample(Stream(0), 4)
        return evaluator.plan.accuracy(
            evaluator.plan.training(evaluator.data, 0).model, evaluator.data
        ).of_paths(genotypes, 1)

    expected = measured("cpu")
    with fake_cuda() as machine:
        load_dataset(device="cuda")
        evaluator = shared(space, "cuda")
        model, data = evaluator.plan.training(evaluator.data, 0).model, evaluator.data
        accuracy = evaluator.plan.accuracy(model, data)
        machine.reset()
        found = accuracy.of_paths(evaluator.space.sample(Stream(0), 4), 1)
        assert machine.copies == {}
        assert sum(machine.kernels.values()) <= kernels
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-9)


def test_a_training_is_the_cpus_and_resumes(tmp_path: Path) -> None:
    plain = training("cpu")
    expected = plain.run()
    with fake_cuda() as machine:
        one = training("cuda")
        machine.reset()
        one.run(0.25)  # half an epoch: one step and the validation
        assert machine.copies == {}
        assert [line for line in machine.waits if "measure" not in line] == []
        one.save(tmp_path / "half.pt")
        other = training("cuda:0")
        other.load(tmp_path / "half.pt")
        found = other.run()
        same(other.model, weights(plain.model))
        assert (found.valid_accuracy, found.valid_loss) == (
            expected.valid_accuracy,
            expected.valid_loss,
        )


def test_joint_training_is_the_cpus_and_waits_for_nothing() -> None:
    def joint(device: str) -> JointTraining:
        networks: list[NASBench201Network] = [network(i) for i in range(3)]
        data = load_dataset(train_size=40, device=device)
        return JointTraining(
            networks, data, JOINT, seeds=[0, 1, 2], execution=Execution(precision="fp64")
        )

    plain = joint("cpu")
    expected = plain.run()
    with fake_cuda() as machine:
        emulated = joint("cuda:1")
        machine.reset()
        emulated._run_in_epoch(1)
        assert machine.copies == {}
        assert machine.waits == {}
        found = emulated.run()
        same(emulated.model, weights(plain.model))
    assert [r.valid_loss for r in found] == [r.valid_loss for r in expected]


# -- bugs that the emulation sees --------------------------------------------------------------


def _unordered(machine: Machine) -> None:
    x = torch.ones(1, 1, 4, 4, device="cuda", requires_grad=True)
    with Execution(deterministic=True).applied(torch.device("cuda", 0)):
        torch.autograd.backward(torch.nn.functional.adaptive_avg_pool2d(x, 2).sum())


def _reads(machine: Machine) -> None:
    torch.cuda.set_sync_debug_mode("error")
    torch.ones(1, device="cuda").item()


PLANTED: dict[str, Callable[[Machine], Any]] = {
    "an operand on the CPU": lambda m: torch.ones(2, device="cuda") + torch.ones(2),
    "an operand on another GPU": lambda m: (
        torch.ones(2, 2, device="cuda:0") @ torch.ones(2, 2, device="cuda:1")
    ),
    "a result on the CPU": lambda m: torch.zeros(()).add_(torch.ones((), device="cuda")),
    "a weight on the CPU": lambda m: torch.nn.Linear(2, 2)(torch.ones(1, 2, device="cuda")),
    "a layer that stayed": lambda m: torch.nn.BatchNorm2d(1)(torch.ones(2, 1, 2, 2, device="cuda")),
    "labels on the CPU": lambda m: torch.nn.functional.cross_entropy(
        torch.ones(2, 3, device="cuda"), torch.zeros(2, dtype=torch.int64)
    ),
    "a generator of the CPU": lambda m: torch.rand(2, device="cuda", generator=torch.Generator()),
    "a generator of a GPU": lambda m: torch.randperm(3, generator=torch.Generator("cuda")),
    "a state of the CPU": lambda m: torch.Generator("cuda").set_state(torch.get_rng_state()),
    "NumPy without a copy": lambda m: torch.ones(1, device="cuda").numpy(),
    "a device that is not there": lambda m: torch.ones(1, device="cuda:2"),
    "a read inside a step": _reads,
    "additions without an order": _unordered,
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_raises(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with fake_cuda() as machine, pytest.raises((RuntimeError, TypeError)):
        PLANTED[bug](machine)


COUNTED: dict[str, Callable[[torch.Tensor], Any]] = {
    "copies, by a list": lambda x: x[[0, 1]],
    "copies, pageable": lambda x: torch.ones(2).to(x.device, non_blocking=True),
    "copies, blocking": lambda x: torch.ones(2).pin_memory().to(x.device),
    "copies, made of numbers": lambda x: torch.tensor([1.0], device=x.device),
    "waits, for a number": lambda x: float(x[0]),
    "waits, for a truth": lambda x: bool((x > 0).all()),
    "waits, for a list": lambda x: x.tolist(),
    "waits, by a mask": lambda x: x[x > 0],
    "waits, for the CPU": lambda x: x.cpu(),
}


@pytest.mark.parametrize("what", COUNTED)
def test_what_the_host_waits_for_is_counted(what: str) -> None:
    with fake_cuda() as machine:
        x = torch.ones(3, device="cuda")
        machine.reset()
        COUNTED[what](x)
        book = machine.copies if what.startswith("copies") else machine.waits
        assert sum(book.values()) == 1, (machine.copies, machine.waits)


def test_what_the_host_does_not_wait_for_is_not_counted() -> None:
    with fake_cuda() as machine:
        x = operations.sent(torch.ones(3), torch.device("cuda", 0))
        assert torch.equal(operations.picked(x, (0, 2)).cpu(), torch.ones(2))
        assert machine.copies == {}
        assert x.device == torch.device("cuda", 0)
    with pytest.raises(WrongDevice):
        _ = x + x  # its machine is gone


# -- faults of old -----------------------------------------------------------------------------


def test_fp16_begins_with_momentum_of_zeros() -> None:
    """The scaler skips the first step; the fused kernel then left its new buffers unset."""
    with fake_cuda():
        made = training("cuda", "fp16")
        made._scaler = torch.amp.GradScaler("cuda", init_scale=2.0**40)
        result = made.run(0.25)
        assert made._scaler.get_scale() < 2.0**40  # it was skipped
        assert result.status == "ok"
        for state in made.optimizer.state.values():
            assert not state["momentum_buffer"].cpu().any()


def test_a_checkpoint_of_a_gpu_is_read_but_not_resumed_on_the_cpu(tmp_path: Path) -> None:
    with fake_cuda():
        made = training("cuda")
        made.run(0.5)
        made.save(tmp_path / "gpu.pt")
        expected = weights(made.model)
    plain = training("cpu")
    with pytest.raises(DataError, match="another kind of device"):
        plain.load(tmp_path / "gpu.pt")
    from nasbench_evo.training import checkpoint

    plain.load_weights(checkpoint.load(tmp_path / "gpu.pt"))
    same(plain.model, expected)


def test_a_supernet_of_a_gpu_is_measured_on_the_cpu(tmp_path: Path) -> None:
    from nasbench_evo.training import checkpoint

    with fake_cuda():
        evaluator = shared("nasbench201", "cuda", precision="fp16")
        made = evaluator.plan.training(evaluator.data, 3)
        state = {**made.state(), "origin": {**evaluator.origin, "seed": 3}}
        checkpoint.save(state, tmp_path / "supernet.pt")
    found = checkpointed.accuracies(tmp_path / "supernet.pt", 3, 0)
    assert len(found) == 3


def out_of_memory(least: int) -> Callable[[Any, list[torch.Tensor]], None]:
    """A GPU on which no operation gets a tensor of `least` numbers or more."""

    def refuse(func: Any, tensors: list[torch.Tensor]) -> None:
        if any(x.numel() >= least for x in tensors):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate.")

    return refuse


def test_a_network_that_does_not_fit_is_an_input_error() -> None:
    with fake_cuda() as machine:
        data = load_dataset(train_size=40, device="cuda")
        machine.refuse = out_of_memory(100)
        with pytest.raises(InputError, match=r"MiB, do not fit into the free memory of cuda:0"):
            Training(network(), data, RECIPE, seed=0)


def test_shared_weights_say_that_batches_were_halved() -> None:
    def refuse(func: Any, tensors: list[torch.Tensor]) -> None:
        if "convolution_backward" in str(func) and len(tensors[0]) == TINY["batch_size"]:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with fake_cuda() as machine:
        session = shared("nasbench201", "cuda").start(0)
        machine.refuse = refuse
        session.answer(TrainPaths(lambda rng: CELL))
    assert "in 2 parts" in session.notes["memory"]
    assert "status" not in session.notes


@pytest.mark.parametrize("sign", ["CUDA out of memory", "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"])
def test_a_batch_that_does_not_fit_is_halved_and_said(sign: str) -> None:
    plan = TrainingPlan(
        DataOptions(train_size=40),
        get("nasbench201"),
        RECIPE,
        Execution(),
        (("channels", 4), ("cells", 1)),
    )
    kind = torch.OutOfMemoryError if "memory" in sign else RuntimeError

    def refuse(func: Any, tensors: list[torch.Tensor]) -> None:
        if "convolution_backward" in str(func) and len(tensors[0]) == RECIPE.batch_size:
            raise kind(sign)

    with fake_cuda() as machine:
        plan.data.load("cuda")
        machine.refuse = refuse
        (found,) = train(plan, [Job(CELL, np.random.SeedSequence(0))], "cuda")
    assert found.status == "ok"
    assert "in 2 parts" in found.reason


def test_networks_that_do_not_fit_jointly_are_trained_in_smaller_groups() -> None:
    plan = TrainingPlan(
        DataOptions(train_size=40),
        get("nasbench201"),
        JOINT,
        Execution(),
        (("channels", 4), ("cells", 1)),
    )
    jobs = [Job(CELL, np.random.SeedSequence(i)) for i in range(4)]
    groups: list[int] = []

    def refuse(func: Any, tensors: list[torch.Tensor]) -> None:
        if "aten.convolution.default" in str(func) and tensors[1].shape[0] > 8:  # 3 networks' stems
            groups.append(tensors[1].shape[0])
            if tensors[1].shape[0] > 40:
                raise torch.OutOfMemoryError("CUDA out of memory")

    with fake_cuda() as machine:
        machine.refuse = refuse
        found = train(plan, jobs, "cuda")
    assert [one.status for one in found] == ["ok"] * 4
    assert max(groups) > 40 > min(groups)
    for one, job in zip(found, jobs, strict=True):
        alone = train(plan, [job])[0]
        assert one.valid_loss == pytest.approx(alone.valid_loss, rel=1e-2)


@pytest.mark.parametrize("name", ["cuda:0", "cuda:7", "gpu", "meta", "", "cuda:-1"])
def test_a_device_that_is_not_there_is_an_input_error(name: str) -> None:
    with pytest.raises(InputError, match="device"):
        check_device(name)
    with pytest.raises(InputError, match="device"):
        DataOptions().load(name)
    with pytest.raises(InputError, match="device"):
        _ = supernet("nasbench201", "digits", 2, devices=(name,)).data
    with pytest.raises(InputError, match="device"):
        _ = standalone("nasbench201", "digits", settings({}), devices=[name]).pool


def test_deterministic_mode_sets_what_it_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    cudnn: Any = torch.backends.cudnn
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with fake_cuda():
        device = torch.device("cuda", 0)
        with (
            pytest.raises(InputError, match="CUBLAS_WORKSPACE_CONFIG"),
            Execution(deterministic=True).applied(device),
        ):
            pass
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        before = cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision
        for on, rounding in ((True, "ieee"), (False, "tf32")):
            with Execution(deterministic=on).applied(device):
                assert torch.are_deterministic_algorithms_enabled() is on
                assert cudnn.benchmark is not on
                assert cudnn.conv.fp32_precision == rounding
                assert torch.backends.cuda.matmul.fp32_precision == rounding
        assert before == (cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision)


def test_deterministic_mode_has_an_order_for_all_that_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The auxiliary head on maps of other sizes than CIFAR's, and networks trained jointly."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    run = Execution(deterministic=True)
    once = replace(RECIPE, length=1, unit="iterations")
    cells = get("darts_cell").sample(Stream(0), 1)[0], {"channels": 4, "cells": 3}
    with fake_cuda():
        data = load_dataset(train_size=40, device="cuda")
        head = network(0, "darts_cell", *cells, auxiliary=True)
        second = replace(once, auxiliary_weight=0.4)
        assert Training(head, data, second, seed=0, execution=run).run().status == "ok"
        pair, plain = [network(0), network(1)], replace(once, gradient_clip=0.0)
        found = JointTraining(pair, data, plain, seeds=[0, 1], execution=run).run()
        assert [one.status for one in found] == ["ok", "ok"]


def test_each_compiled_training_begins_with_no_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(torch._dynamo, "reset", lambda: calls.append("reset"))
    monkeypatch.setattr(torch, "compile", lambda model: calls.append("compile") or model)
    for _ in range(2):
        training("cpu", compile=True)
    assert calls == ["reset", "compile"] * 2


def test_a_drop_path_probability_may_be_a_tensor() -> None:
    torch.manual_seed(0)
    x = torch.ones(2000, 1, 2, 2)
    y = operations.dropped(x, torch.tensor(0.25))
    assert y.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert y.mean() == pytest.approx(1, abs=0.05)
    assert torch.equal(operations.dropped(x, torch.tensor(0.0)), x)
