"""Losses, with or without a teacher (EIGEN's mimicry)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench_evo.errors import InputError
from nasbench_evo.training.recipes import Recipe

Output = Tensor | tuple[Tensor, Tensor | None]  # logits, or (logits, auxiliary logits)


def distillation_loss(
    logits: Tensor,
    labels: Tensor,
    teacher_logits: Tensor,
    alpha: float = 0.9,
    temperature: float = 5.0,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the batch mean of (1-a) CE(y, softmax(s)) + a T^2 CE(softmax(t/T), softmax(s/T)).

    `logits` s and `teacher_logits` t are [batch, classes], `labels` y are [batch]. EIGEN, Eq. 3,
    with the teacher's distribution as the target of the second cross-entropy (the printed
    equation has its arguments in the other order).
    """
    hard = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    target = F.softmax(teacher_logits / temperature, dim=1)
    soft = F.cross_entropy(logits / temperature, target)
    return (1 - alpha) * hard + alpha * temperature**2 * soft


def training_loss(
    output: Output, labels: Tensor, recipe: Recipe, teacher_logits: Tensor | None = None
) -> Tensor:
    """Return a batch's mean loss: the labels', with a teacher mixed with its, the second output's.

    `output` is logits [batch, classes] or (logits, auxiliary logits). Half-precision logits are
    widened first. Raises InputError when the recipe weighs an auxiliary output that is not there.
    """
    logits, auxiliary = output if isinstance(output, tuple) else (output, None)
    logits = _wide(logits)
    if teacher_logits is None:
        loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    else:
        loss = distillation_loss(
            logits,
            labels,
            teacher_logits.to(logits.dtype),
            recipe.alpha,
            recipe.temperature,
            recipe.label_smoothing,
        )
    if not recipe.auxiliary_weight:
        return loss
    if auxiliary is None:
        raise InputError(
            f"Recipe {recipe.name!r} has auxiliary_weight={recipe.auxiliary_weight}, but the "
            "network returns no auxiliary logits; use auxiliary_weight=0."
        )
    second = F.cross_entropy(_wide(auxiliary), labels, label_smoothing=recipe.label_smoothing)
    return loss + recipe.auxiliary_weight * second


def _wide(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


class Ensemble(nn.Module):
    """A teacher: the mean of the logits of trained networks (EIGEN, section 4.1), in eval mode."""

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        if not self.networks:
            raise InputError("A teacher needs at least one network; got none.")
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Ensemble:
        """Stay in eval mode whatever `mode` says: a teacher's batch statistics are fixed."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return the mean logits [batch, classes] of `images` [batch, channels, h, w]."""
        return torch.stack([first_output(network(images)) for network in self.networks]).mean(0)


def first_output(output: Output) -> Tensor:
    """Return the logits of a network that may return (logits, auxiliary logits)."""
    return output[0] if isinstance(output, tuple) else output
