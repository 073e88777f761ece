"""What a training reports."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["ok", "diverged", "failed"]


@dataclass(frozen=True)
class CurvePoint:
    """The state after an epoch; `valid_*` are None where validation was skipped.

    Accuracies are percent; training figures are means over the epoch's augmented batches.
    """

    epoch: int
    train_accuracy: float
    train_loss: float
    valid_accuracy: float | None
    valid_loss: float | None


@dataclass(frozen=True)
class TrainingResult:
    """A training so far; there is no test figure here, `evaluate` gives one.

    `status` is "ok"; "diverged" (a loss was not finite: accuracy and loss are those of chance);
    or "failed" (out of memory even with half batches: accuracy and loss are NaN, and `reason`
    says why). They are NaN, too, where no images validate. `batch_splits` is 2 where batches were
    halved to fit into memory, else 1.
    """

    status: Status
    reason: str
    fraction: float  # of the full length
    iterations: int
    valid_accuracy: float
    valid_loss: float
    curve: tuple[CurvePoint, ...]
    seconds: float
    batch_splits: int

    def to_json(self) -> dict[str, Any]:
        """Return plain values; NaN becomes None."""
        plain = asdict(self)
        for key in ("valid_accuracy", "valid_loss"):
            plain[key] = None if math.isnan(plain[key]) else plain[key]
        plain["curve"] = [asdict(point) for point in self.curve]
        return plain


@dataclass
class Progress:
    """How far a training is; the trainers keep one per network."""

    iteration: int = 0
    batch_splits: int = 1
    seconds: float = 0.0
    status: Status = "ok"
    reason: str = ""
    valid_at: int = -1  # the iteration of the last validation
    valid: tuple[float, float] = (math.nan, math.nan)  # (accuracy, loss)
    curve: list[CurvePoint] = field(default_factory=list)

    def diverge(self, reason: str) -> None:
        """Record that the training cannot go on."""
        self.status, self.reason = "diverged", f"{reason} (iteration {self.iteration})"

    def fail(self, reason: str) -> None:
        """Record that the training was given up."""
        self.status, self.reason = "failed", reason

    def validated(self, accuracy: float, loss: float) -> None:
        """Record a validation at this iteration."""
        self.valid_at, self.valid = self.iteration, (accuracy, loss)
        if not math.isfinite(loss):
            self.diverge("the validation loss is not finite")

    def add_epoch(self, epoch: int, train_accuracy: float, train_loss: float) -> None:
        """Put an epoch on the curve, with the validation if there was one just now."""
        accuracy, loss = self.valid if self.valid_at == self.iteration else (None, None)
        self.curve.append(CurvePoint(epoch, train_accuracy, train_loss, accuracy, loss))

    def result(self, total: int, classes: int) -> TrainingResult:
        """Return the report on a training of `total` iterations in all."""
        accuracy, loss = self.valid
        if self.status == "diverged":
            accuracy, loss = chance(classes)
        elif self.status == "failed":
            accuracy, loss = math.nan, math.nan
        return TrainingResult(
            self.status,
            self.reason,
            self.iteration / total,
            self.iteration,
            accuracy,
            loss,
            tuple(self.curve),
            self.seconds,
            self.batch_splits,
        )

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Progress:
        """Return the progress that `dataclasses.asdict` made `state` of."""
        curve = [CurvePoint(**point) for point in state["curve"]]
        return cls(**{**state, "curve": curve, "valid": tuple(state["valid"])})


def memory_note(batch_splits: int) -> str:
    """Return what a record says of batches that did not fit into memory; nothing if all did."""
    if batch_splits == 1:
        return ""
    return f"batches in {batch_splits} parts: a whole one does not fit into memory"


def chance(classes: int) -> tuple[float, float]:
    """Return (accuracy in percent, cross-entropy) of a uniform guess."""
    return 100 / classes, math.log(classes)
