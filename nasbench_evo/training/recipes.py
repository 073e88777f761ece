"""Training recipes: every hyper-parameter of a training, and the papers' values of them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from nasbench_evo.errors import InputError, unknown
from nasbench_evo.networks.operations import INITIALISATIONS, Initialisation
from nasbench_evo.training.data.augmentation import Augmentation

Unit = Literal["epochs", "iterations"]
Schedule = Literal["cosine", "linear", "step"]
# What recipes and data had no field for at first, and what they did then; see `identity`.
_LATER: dict[str, Any] = {
    "drop_path_schedule": "linear",
    "keep_last_batch": False,
    "initialisation": "kaiming",
    "final_learning_rate": 0.0,
    "local_contrast": False,
    "valid_per_class": None,
}


@dataclass(frozen=True)
class Recipe:
    """How to train: `length` and `milestones` count `unit`.

    A "cosine" or "linear" schedule goes to `final_learning_rate` at `length`; a "step" has none.
    `update` says whether the learning rate is set anew at each iteration or at each epoch.
    `keep_last_batch` trains on what is left of an epoch's images, too, as one smaller batch.
    `initialisation` is of the weights (see `networks.operations.initialise`). `gradient_clip` is a
    bound on the gradient's norm (0: none). `drop_path` is the probability given to the model's
    attribute `drop_path_prob`: "linear" grows by epoch from 0 to it, "constant" has it throughout.
    `auxiliary_weight` is the weight of the loss of a second output (0: there is none).
    `alpha` and `temperature` are those of EIGEN's Eq. 3, and used only with a teacher.

    Raises InputError on a value out of range.
    """

    name: str
    length: float
    unit: Unit = "epochs"
    batch_size: int = 128
    keep_last_batch: bool = False
    initialisation: Initialisation = "kaiming"
    learning_rate: float = 0.1
    final_learning_rate: float = 0.0
    schedule: Schedule = "cosine"
    update: Unit = "iterations"
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    gradient_clip: float = 0.0
    drop_path: float = 0.0
    drop_path_schedule: Literal["linear", "constant"] = "linear"
    auxiliary_weight: float = 0.0
    alpha: float = 0.9
    temperature: float = 5.0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        for name, ok, expected in (
            ("length", self.length > 0, "more than 0"),
            ("unit", self.unit in ("epochs", "iterations"), "'epochs' or 'iterations'"),
            ("update", self.update in ("epochs", "iterations"), "'epochs' or 'iterations'"),
            (
                "schedule",
                self.schedule in ("cosine", "linear", "step"),
                "'cosine', 'linear' or 'step'",
            ),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "more than 0"),
            (
                "final_learning_rate",
                0 <= self.final_learning_rate <= self.learning_rate
                and not (self.final_learning_rate and self.schedule == "step"),
                f"0 or more, at most learning_rate={self.learning_rate:g}, and 0 for 'step'",
            ),
            ("gamma", 0 < self.gamma <= 1, "in (0, 1]"),
            ("momentum", 0 <= self.momentum < 1, "in [0, 1)"),
            ("nesterov", not self.nesterov or self.momentum > 0, "False without momentum"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "0 or more"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "in [0, 1)"),
            ("gradient_clip", 0 <= self.gradient_clip < math.inf, "0 (off) or more"),
            ("drop_path", 0 <= self.drop_path < 1, "in [0, 1)"),
            (
                "drop_path_schedule",
                self.drop_path_schedule in ("linear", "constant"),
                "'linear' or 'constant'",
            ),
            (
                "initialisation",
                self.initialisation in INITIALISATIONS,
                " or ".join(map(repr, INITIALISATIONS)),
            ),
            ("auxiliary_weight", 0 <= self.auxiliary_weight < math.inf, "0 (off) or more"),
            ("alpha", 0 <= self.alpha <= 1, "in [0, 1]"),
            ("temperature", 0 < self.temperature < math.inf, "more than 0"),
            ("milestones", self._milestones_fit(), "increasing, within the length, for 'step'"),
        ):
            if not ok:
                raise InputError(f"Recipe: {name} is {expected}; got {getattr(self, name)!r}.")

    def _milestones_fit(self) -> bool:
        if self.schedule != "step":
            return not self.milestones
        ascending = all(a < b for a, b in zip(self.milestones, self.milestones[1:], strict=False))
        return ascending and all(0 < m <= self.length for m in self.milestones)

    def scaled(self, length: float, unit: Unit = "epochs") -> Recipe:
        """Return this recipe `length` long, its milestones at the same fractions of it."""
        milestones = tuple(m * length / self.length for m in self.milestones)
        return replace(self, length=length, unit=unit, milestones=milestones)

    def iterations(self, per_epoch: int) -> int:
        """Return the number of iterations when an epoch has `per_epoch` of them (at least 1)."""
        return max(1, round(self.length * (per_epoch if self.unit == "epochs" else 1)))

    def learning_rate_at(self, iteration: int, per_epoch: int) -> float:
        """Return the learning rate of iteration 0, 1, ... (epochs of `per_epoch` iterations)."""
        if self.update == "epochs":
            iteration -= iteration % per_epoch
        if self.schedule != "step":
            progress, end = iteration / self.iterations(per_epoch), self.final_learning_rate
            left = 1 - progress
            if self.schedule == "cosine":
                left = (1 + math.cos(math.pi * progress)) / 2
            return end + (self.learning_rate - end) * left
        factor = per_epoch if self.unit == "epochs" else 1
        passed = sum(iteration >= round(m * factor) for m in self.milestones)
        return self.learning_rate * self.gamma**passed

    def drop_path_at(self, iteration: int, per_epoch: int) -> float:
        """Return the drop-path probability of the epoch that an iteration is in."""
        if self.drop_path_schedule == "constant":
            return self.drop_path
        return self.drop_path * (iteration - iteration % per_epoch) / self.iterations(per_epoch)


_FLIP_CROP = Augmentation(flip=0.5, crop_padding=4)
_FLIP_CROP_CUTOUT = Augmentation(flip=0.5, crop_padding=4, cutout=16)

_NASBENCH201 = Recipe(
    "nasbench201",
    200,
    batch_size=256,
    keep_last_batch=True,
    initialisation="torch",
    update="epochs",
    nesterov=True,
    augmentation=_FLIP_CROP,
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        # Small grey images that must not be mirrored; minutes on one CPU core.
        Recipe("digits", 12, batch_size=64, nesterov=True),
        # Dong and Yang 2020, its Table of hyper-parameters; images of 16 pixels are padded by 2.
        _NASBENCH201,
        replace(
            _NASBENCH201,
            name="nasbench201_16",
            augmentation=Augmentation(flip=0.5, crop_padding=2),
        ),
        # Genetic CNN, section 4.1.1: 120 + 60 + 40 + 20 epochs at 1e-2 ... 1e-5. The paper does
        # not give batch size, momentum and weight decay: the usual values stand here.
        Recipe("genetic_cnn", 240, learning_rate=0.01, schedule="step", milestones=(120, 180, 220)),
        # EIGEN, section 4.1.
        Recipe(
            "eigen",
            25_000,
            unit="iterations",
            schedule="step",
            milestones=(15_000, 20_000),
            augmentation=Augmentation(whitening=True),
        ),
        # GeneticNAS, final training (its search trains shared weights).
        Recipe(
            "geneticnas",
            630,
            batch_size=64,
            keep_last_batch=True,
            learning_rate=0.05,
            schedule="step",
            milestones=(315, 472.5),
            nesterov=True,
            weight_decay=1e-4,
            drop_path=0.1,
            drop_path_schedule="constant",
            augmentation=_FLIP_CROP_CUTOUT,
        ),
        # GeneticNAS, search: shared weights on CIFAR-10.
        Recipe(
            "geneticnas_search",
            310,
            keep_last_batch=True,
            schedule="step",
            milestones=(155, 232.5),
            nesterov=True,
            weight_decay=1e-4,
            augmentation=_FLIP_CROP_CUTOUT,
        ),
        # EG-NAS, section 4.1: the search on CIFAR-10.
        Recipe(
            "eg_nas_search",
            50,
            batch_size=256,
            keep_last_batch=True,
            initialisation="torch",
            update="epochs",
            weight_decay=3e-4,
            gradient_clip=5.0,
            augmentation=_FLIP_CROP,
        ),
        # EG-NAS, section 4.1: the search on ImageNet. The paper gives batch, rates and momentum.
        Recipe(
            "eg_nas_imagenet_search",
            50,
            batch_size=1024,
            keep_last_batch=True,
            initialisation="torch",
            learning_rate=0.5,
            schedule="linear",
            update="epochs",
            weight_decay=3e-5,
            gradient_clip=5.0,
            augmentation=Augmentation(flip=0.5, crop_padding=28),
        ),
        # DARTS, section 3.1: the first-order search on CIFAR-10.
        Recipe(
            "darts_search",
            50,
            batch_size=64,
            keep_last_batch=True,
            initialisation="torch",
            learning_rate=0.025,
            final_learning_rate=0.001,
            update="epochs",
            weight_decay=3e-4,
            gradient_clip=5.0,
            augmentation=_FLIP_CROP,
        ),
        # EG-NAS retrains as DARTS does (Liu et al. 2019): 600 epochs, batch 96.
        Recipe(
            "darts",
            600,
            batch_size=96,
            keep_last_batch=True,
            initialisation="torch",
            learning_rate=0.025,
            update="epochs",
            weight_decay=3e-4,
            gradient_clip=5.0,
            drop_path=0.3,
            auxiliary_weight=0.4,
            augmentation=_FLIP_CROP_CUTOUT,
        ),
        # EG-NAS, section 4.1: 250 epochs on ImageNet; what it leaves open as in DARTS.
        Recipe(
            "darts_imagenet",
            250,
            batch_size=1024,
            keep_last_batch=True,
            initialisation="torch",
            learning_rate=0.5,
            schedule="linear",
            update="epochs",
            weight_decay=3e-5,
            label_smoothing=0.1,
            gradient_clip=5.0,
            auxiliary_weight=0.4,
            augmentation=Augmentation(flip=0.5, crop_padding=28),
        ),
    )
}


def recipe(name: str, epochs: float | None = None) -> Recipe:
    """Return a named recipe, scaled to `epochs` if given; raise InputError on an unknown name."""
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name] if epochs is None else RECIPES[name].scaled(epochs)


def identity(content: Any) -> dict[str, Any]:
    """Return a recipe, data options or what holds them, as plain JSON that keys are made of.

    Fields that came later are left out where they change nothing: earlier keys stay valid.
    """
    return asdict(content, dict_factory=_without_later)


def _without_later(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in fields if name not in _LATER or _LATER[name] != value}
