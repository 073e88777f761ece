"""How a training runs: precision, memory format, deterministic mode, optimizer kernels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.training.measure import Precision, model_dtype
from nasbench_evo.training.recipes import Recipe


@dataclass(frozen=True)
class Execution:
    """How a training runs, as opposed to what is trained; the device is the data set's.

    `valid_every`: validate each so many epochs (and always where a run stops). With
    `deterministic` every operation is one that repeats bit for bit (CUDA then needs the
    environment variable CUBLAS_WORKSPACE_CONFIG); a CPU repeats itself without it. fp16 needs
    CUDA. `compile` hands the network to torch.compile.
    """

    precision: Precision = "fp32"
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = False
    valid_every: int = 1
    eval_batch_size: int = 1024

    def __post_init__(self) -> None:
        if self.precision not in ("fp32", "fp64", "bf16", "fp16"):
            raise InputError(f"precision is fp32, fp64, bf16 or fp16; got {self.precision!r}.")
        if self.valid_every < 1 or self.eval_batch_size < 1:
            raise InputError(
                "valid_every and eval_batch_size are at least 1; "
                f"got {self.valid_every} and {self.eval_batch_size}."
            )

    def check_device(self, device: torch.device) -> None:
        """Raise Unsupported when the precision does not work on `device`."""
        if self.precision == "fp16" and device.type != "cuda":
            raise Unsupported("fp16 needs a CUDA device; use bf16 or fp32 on this one.")

    def placed(self, module: nn.Module, device: torch.device) -> nn.Module:
        """Move a network to the device, type and memory format of this execution."""
        module.to(device, model_dtype(self.precision))
        if self.channels_last:
            # torch annotates only the 4-D formats that its stubs know for tensors
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return module

    @contextmanager
    def applied(self, device: torch.device) -> Iterator[None]:
        """Set torch's deterministic mode for a block, and put it back."""
        before = torch.are_deterministic_algorithms_enabled()
        benchmark = torch.backends.cudnn.benchmark
        if self.deterministic:
            if device.type == "cuda" and not os.environ.get("CUBLAS_WORKSPACE_CONFIG"):
                raise InputError(
                    "A deterministic training on CUDA needs the environment variable "
                    "CUBLAS_WORKSPACE_CONFIG=:4096:8, set before the program starts."
                )
            torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = not self.deterministic
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            torch.backends.cudnn.benchmark = benchmark


def sgd(model: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.SGD:
    """Return the recipe's optimizer, fused into one kernel where torch has one."""
    return torch.optim.SGD(
        model.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        fused=device.type in ("cpu", "cuda") or None,
    )


def out_of_memory(error: RuntimeError) -> bool:
    """Return whether torch reports a lack of memory (the CPU has no exception of its own)."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
