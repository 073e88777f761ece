"""Accuracy and loss of a trained network on a part of a data set."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from nasbench_evo.errors import InputError
from nasbench_evo.training.data.augmentation import Augmentation, Pipeline
from nasbench_evo.training.data.datasets import Dataset
from nasbench_evo.training.data.images import Part
from nasbench_evo.training.distillation import first_output

Precision = Literal["fp32", "fp64", "bf16", "fp16"]
_FEWEST, _NUMBERS = 16, 2**20  # images at once, and numbers in a layer's output, on a CPU
_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return the autocast context of a precision; it does nothing for fp32 and fp64."""
    half = _HALF.get(precision)
    return torch.autocast(device.type, half or torch.bfloat16, enabled=half is not None)


def model_dtype(precision: Precision) -> torch.dtype:
    """Return the type of weights and inputs at a precision; autocast keeps them fp32."""
    return torch.float64 if precision == "fp64" else torch.float32


def at_once(model: nn.Module, part: Part, most: int) -> int:
    """Return how many images to evaluate at once: `most`, or as many as a CPU is fast with.

    There a layer's output of more than 4 MiB leaves the caches, and is fresh memory each time.
    """
    if part.labels.device.type != "cpu":
        return most
    _, height, width = part.shape
    channels = next((p.shape[0] for p in model.parameters() if p.dim() == 4), 1)  # of the stem
    return min(most, max(_FEWEST, _NUMBERS // (channels * height * width)))


@torch.no_grad()
def measure(
    model: nn.Module,
    part: Part,
    pipeline: Pipeline,
    batch_size: int = 1024,
    precision: Precision = "fp32",
    channels_last: bool = True,
) -> tuple[float, float]:
    """Return (accuracy in percent, mean cross-entropy) of `model` in eval mode on all of `part`.

    At most `batch_size` images go at once (see `at_once`). The model's mode is put back; there is
    one host sync, at the end.
    """
    device = part.labels.device
    totals = torch.zeros(2, dtype=torch.float64, device=device)
    was_training = model.training
    model.eval()
    try:
        for images, labels in part.runs(at_once(model, part, batch_size)):
            inputs = pipeline.evaluation(images)
            if channels_last:
                inputs = inputs.contiguous(memory_format=torch.channels_last)
            with autocast(device, precision):
                logits = first_output(model(inputs))
            wide = logits.to(pipeline.dtype)
            totals[0] += (wide.argmax(1) == labels).sum()
            totals[1] += F.cross_entropy(wide, labels, reduction="sum")
    finally:
        model.train(was_training)
    correct, loss = totals.tolist()
    return 100 * correct / len(part), loss / len(part)


def evaluate(
    model: nn.Module,
    dataset: Dataset,
    split: Literal["train", "valid", "test"] = "valid",
    *,
    augmentation: Augmentation | None = None,
    batch_size: int = 1024,
    precision: Precision = "fp32",
) -> tuple[float, float]:
    """Return (accuracy in percent, mean cross-entropy) of a network on one split.

    This is the only function that reads a test part: no training calls it, whoever reports a
    final result does. `augmentation` is the recipe's; only its whitening matters here.
    Raises InputError on an unknown split.
    """
    if split not in ("train", "valid", "test"):
        raise InputError(f"split is 'train', 'valid' or 'test'; got {split!r}.")
    part: Part = getattr(dataset, split)
    pipeline = Pipeline(dataset, augmentation or Augmentation(), model_dtype(precision))
    return measure(model, part, pipeline, batch_size, precision)
