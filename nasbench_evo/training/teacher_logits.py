"""What a teacher says of the training images: once, where augmentation leaves them as they are."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from nasbench_evo.training.data.augmentation import Pipeline
from nasbench_evo.training.data.images import Part, TensorPart
from nasbench_evo.training.distillation import first_output
from nasbench_evo.training.execution import Execution
from nasbench_evo.training.measure import autocast

# One table for all individuals of a search that share a teacher: a few megabytes.
_KNOWN: WeakKeyDictionary[nn.Module, dict[Any, Tensor]] = WeakKeyDictionary()


def known_logits(
    teacher: nn.Module | None, part: Part, pipeline: Pipeline, run: Execution, batch_size: int
) -> Tensor | None:
    """Return the teacher's logits [images, classes] for the images of a part, in their order.

    None where they are not the same in every epoch (pixels move), where the images are not in
    memory, and without a teacher. They agree with batch by batch to rounding; `batch_size` is a
    part of what is remembered, so that a result does not depend on who asked before.
    """
    if teacher is None or pipeline.augmentation.moves_pixels or not isinstance(part, TensorPart):
        return None
    known = _KNOWN.setdefault(teacher, {})
    key = (part, pipeline.augmentation, run.precision, run.channels_last, batch_size)
    if key not in known:
        batches = (pipeline.evaluation(images) for images, _ in part.runs(batch_size))
        known[key] = torch.cat([ask(teacher, images, run) for images in batches])
    return known[key]


@torch.no_grad()
def ask(teacher: nn.Module, images: Tensor, run: Execution) -> Tensor:
    """Return the teacher's logits [batch, classes] for a network's inputs."""
    if run.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    with autocast(images.device, run.precision):
        return first_output(teacher(images))
