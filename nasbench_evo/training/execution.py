"""How a training runs: precision, memory format, deterministic mode, optimizer kernels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nasbench_evo.errors import InputError, Unsupported
from nasbench_evo.training.measure import Precision, model_dtype
from nasbench_evo.training.recipes import Recipe


class TooLittleMemory(InputError):
    """A network's weights do not fit into the memory of a device."""


@dataclass(frozen=True)
class Execution:
    """How a training runs, as opposed to what is trained; the device is the data set's.

    `valid_every`: validate each so many epochs (and always where a run stops). A CPU repeats
    itself bit for bit. CUDA does only with `deterministic` (and the environment variable
    CUBLAS_WORKSPACE_CONFIG): without it, cuDNN chooses its algorithms by timing them, and fp32
    convolutions and products round their inputs to TF32. fp16 needs CUDA. `compile` hands the
    network to torch.compile. At most `eval_batch_size` images are evaluated at once; on a CPU fewer
    where that is faster.
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

    def check_device(self, device: torch.device | str) -> None:
        """Raise Unsupported when the precision does not work on `device`, there or not."""
        if self.precision == "fp16" and str(device).partition(":")[0] != "cuda":
            raise Unsupported("fp16 needs a CUDA device; use bf16 or fp32 on this one.")

    def placed(self, module: nn.Module, device: torch.device) -> nn.Module:
        """Move a network to the device, type and memory format of this execution.

        Raises TooLittleMemory, an InputError, where the weights do not fit.
        """
        try:
            module.to(device, model_dtype(self.precision))
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            size = sum(p.numel() * p.element_size() for p in module.parameters())
            raise TooLittleMemory(
                f"The weights of one network, {size / 2**20:.1f} MiB, do not fit into the free "
                f"memory of {device}. Take a smaller network, or another device."
            ) from error
        if self.channels_last:
            # torch annotates only the 4-D formats that its stubs know for tensors
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return module

    def forward_of(self, model: nn.Module) -> Any:
        """Return what computes a network in training: itself, or itself compiled."""
        if not self.compile:
            return model
        # Without this a class of networks is compiled 8 times, and then no more.
        torch._dynamo.reset()
        return torch.compile(model)

    @contextmanager
    def applied(self, device: torch.device) -> Iterator[None]:
        """Set torch's deterministic mode and TF32 for a block, and put them back."""
        before = torch.are_deterministic_algorithms_enabled()
        benchmark = torch.backends.cudnn.benchmark
        cudnn: Any = torch.backends.cudnn  # its stubs lack `conv`
        rounding = [cudnn.conv, torch.backends.cuda.matmul]
        rounded = [backend.fp32_precision for backend in rounding]
        if self.deterministic:
            if device.type == "cuda" and not os.environ.get("CUBLAS_WORKSPACE_CONFIG"):
                raise InputError(
                    "A deterministic training on CUDA needs the environment variable "
                    "CUBLAS_WORKSPACE_CONFIG=:4096:8, set before the program starts."
                )
            torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = not self.deterministic
        for backend in rounding:
            backend.fp32_precision = "ieee" if self.deterministic else "tf32"
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            torch.backends.cudnn.benchmark = benchmark
            for backend, precision in zip(rounding, rounded, strict=True):
                backend.fp32_precision = precision


def check_device(name: str) -> None:
    """Raise InputError for what is no device's name, or a device that is not there."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InputError(f"Expected a device such as cpu or cuda:0; got {name!r}.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"There is no device {name}: torch sees {torch.cuda.device_count()} CUDA devices here. "
            "Use cpu, or one that `nasbench-evo doctor` shows."
        )


def sgd(model: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.SGD:
    """Return the recipe's optimizer, fused into one kernel where torch has one.

    Its momentum is there, as zeros, from the start: the fused kernel wants it of every parameter,
    and leaves what it makes itself unset where the gradient scaler skips the first step.
    """
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
        fused=device.type in ("cpu", "cuda") or None,
    )
    if recipe.momentum:
        for parameter in model.parameters():
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def out_of_memory(error: RuntimeError) -> bool:
    """Return whether torch reports a lack of memory (the CPU has no exception of its own)."""
    signs = ("DefaultCPUAllocator", "CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(s in str(error) for s in signs)
