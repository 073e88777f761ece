"""What may be set of an evaluator that trains, checked without importing torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from nasbench_evo import spaces
from nasbench_evo.errors import InputError, unknown

RECIPE_OF = {
    "nasbench201": "nasbench201",
    "binary_stages": "genetic_cnn",
    "layer_graph": "eigen",
    "micro_cell": "geneticnas",
    "darts_cell": "darts",
}
_RECIPE_OF_DATASET = {  # by data set and space, where a data set has a recipe of its own
    "digits": dict.fromkeys(RECIPE_OF, "digits"),
    "ImageNet16-120": {"nasbench201": "nasbench201_16"},
}
SEARCH_RECIPE_OF = {
    "nasbench201": "eg_nas_search",
    "micro_cell": "geneticnas_search",
    "darts_cell": "eg_nas_search",
}
OWN_SEARCH_RECIPE = {"digits": "digits"}  # of data sets that have one
# What the networks, or the construction, of only some spaces take.
_OF_SPACE = {
    "nasbench201": {"channels", "cells", "jointly"},
    "binary_stages": {"widths", "dropout", "nodes"},
    "layer_graph": {"sample_steps"},
    "micro_cell": {"channels", "cells", "dropout", "micro_nodes"},
    "darts_cell": {"channels", "cells", "stem", "with_none", "partial_channels", "pool_norm"},
}
_NETWORK = ("channels", "cells", "widths", "dropout", "stem", "partial_channels", "pool_norm")
_RECIPE = {
    "batch_size": "batch_size",
    "lr": "learning_rate",
    "momentum": "momentum",
    "weight_decay": "weight_decay",
    "label_smoothing": "label_smoothing",
    "gradient_clip": "gradient_clip",
    "drop_path": "drop_path",
    "auxiliary_weight": "auxiliary_weight",
    "alpha": "alpha",
    "temperature": "temperature",
}
_OF_TEACHER = ("teacher_depth", "teacher_growth", "teacher_epochs", "alpha", "temperature")
_AUGMENTATION = ("flip", "crop_padding", "cutout", "whitening", "local_contrast")
# The largest of what may be set: sizes end, though far beyond what anybody trains.
_IMAGES = 100_000_000  # images of a set or of a batch
_LENGTH = 10_000_000  # epochs, iterations or steps
_INTEGERS = re.compile(r"\d+(,\d+)+")


def _as_tuple(value: Any) -> Any:
    """Return a list as a tuple, a number as one of it: on the command line that has no comma."""
    if type(value) is int:
        return (value,)
    return tuple(value) if isinstance(value, list) else value


class TrainingSettings(BaseModel):
    """What every evaluator that trains has; None takes the recipe's or network's own value.

    `valid_fraction` of the images of `valid_source` validate: by default a fifth, but half of
    cifar10 in the space nasbench201, as its benchmark has it. 0 is for final trainings only: all
    images train. `valid_per_class` is a number of each class instead, or one for each official part
    (svhn-extra has two: 400,200 in Genetic CNN).
    `channels` are of the first stage; `cells` those of a stage (nasbench201, micro_cell) or of the
    network (darts_cell). `nodes` (of each stage) is of binary_stages, `micro_nodes` of micro_cell.
    `stem` and `with_none` are of darts_cell: three halvings before the cells of ImageNet networks,
    and whether a relaxation weighs the operation none, which no genotype has.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    # data
    split_seed: int = Field(default=0, ge=0, le=2**62)
    valid_fraction: float | None = Field(default=None, ge=0, lt=1)
    valid_source: Literal["train", "test"] = "train"
    valid_per_class: tuple[int, ...] | None = None
    train_size: int | None = Field(default=None, ge=1, le=_IMAGES)
    image_size: int = Field(default=64, ge=1, le=4096)
    # recipe
    recipe: str | None = None
    batch_size: int | None = Field(default=None, ge=1, le=_IMAGES)
    lr: float | None = Field(default=None, gt=0)
    momentum: float | None = None
    weight_decay: float | None = None
    label_smoothing: float | None = None
    gradient_clip: float | None = None
    flip: float | None = None
    crop_padding: int | None = Field(default=None, le=4096)
    cutout: int | None = Field(default=None, le=4096)
    whitening: bool | None = None
    local_contrast: bool | None = None
    # network and space
    channels: int | None = Field(default=None, ge=1, le=4096)
    cells: int | None = Field(default=None, ge=1, le=1000)
    dropout: float | None = Field(default=None, ge=0, lt=1)
    micro_nodes: int | None = Field(default=None, ge=1, le=1000)
    stem: Literal["cifar", "imagenet"] | None = None
    with_none: bool | None = None
    # execution
    precision: Literal["fp32", "fp64", "bf16", "fp16"] = "fp32"
    channels_last: bool = True
    deterministic: bool = False
    threads: int = Field(default=1, ge=1, le=1024)

    _counts = field_validator("valid_per_class", mode="before")(_as_tuple)

    def check_search(self) -> None:
        """Raise InputError for settings of a final training that a search cannot have."""
        if self.valid_fraction == 0:
            raise InputError(
                "valid_fraction=0 leaves a search no images to judge by. It is for final trainings "
                "(train, --final-set, final_set); use more than 0 here."
            )

    def check_space(self, space: str) -> None:
        """Raise InputError for an unknown space, or a setting that is another space's."""
        if self.valid_per_class is not None and self.valid_fraction is not None:
            raise InputError("Give valid_fraction or valid_per_class, not both.")
        if space not in spaces.SPACES:
            raise unknown("space", space, spaces.SPACES)
        own = _OF_SPACE[space]
        for name in sorted(set().union(*_OF_SPACE.values()) - own):
            if name in self.model_fields_set and getattr(self, name) is not None:
                known = sorted(own & set(type(self).model_fields))
                raise InputError(
                    f"The setting {name} is not one of the space {space}, which has "
                    f"{', '.join(known)}."
                )

    def make_space(self, space: str, image_size: int) -> spaces.Space:
        """Return the space; only layer graphs depend on `image_size` (pixels)."""
        self.check_space(space)
        if space == "micro_cell" and self.micro_nodes is not None:
            return spaces.MicroCell(self.micro_nodes)
        if space == "darts_cell" and self.with_none is not None:
            return spaces.DartsCell(self.with_none)
        return spaces.get(space)

    def validation_share(self, space: str, dataset: str) -> float:
        """Return the fraction of the images that validate."""
        if self.valid_fraction is not None:
            return self.valid_fraction
        return 0.5 if (space, dataset) == ("nasbench201", "cifar10") else 0.2

    def recipe_name(self, space: str, dataset: str) -> str:
        """Return the recipe's name: that given, or the data set's own, or that of the space."""
        own = _RECIPE_OF_DATASET.get(dataset, {})
        return self.recipe or own.get(space) or RECIPE_OF[space]

    def length(self) -> tuple[float, Literal["epochs", "iterations"]] | None:
        """Return the length of a training and its unit; None for the recipe's own."""
        return None

    def recipe_changes(self) -> dict[str, Any]:
        """Return the fields of a Recipe that were set."""
        return {
            field: getattr(self, name)
            for name, field in _RECIPE.items()
            if getattr(self, name, None) is not None
        }

    def augmentation_changes(self) -> dict[str, Any]:
        """Return the fields of an Augmentation that were set."""
        return {n: getattr(self, n) for n in _AUGMENTATION if getattr(self, n) is not None}

    def network_options(self) -> dict[str, Any]:
        """Return the options of the network's builder that were set."""
        found = {n: getattr(self, n, None) for n in _NETWORK}
        found["nodes"] = self.micro_nodes
        return {name: value for name, value in found.items() if value is not None}


class Settings(TrainingSettings):
    """Settings of the standalone evaluator, `evaluator_set` and `--evaluator-set`.

    `epochs` or `iterations` is the full length of a training. `widths` (a name, or "8,8,16/32":
    channels / hidden layers) is of binary_stages, `sample_steps` of layer_graph. `jointly` networks
    of nasbench201 are trained as one ("auto": as many as the doctor found fastest).
    A teacher is `teacher_networks` Wide-DenseNets. `report_trials` networks of the final genotype
    are trained anew for the report.
    """

    epochs: float | None = Field(default=None, gt=0, le=_LENGTH)
    iterations: int | None = Field(default=None, ge=1, le=_LENGTH)
    drop_path: float | None = None
    auxiliary_weight: float | None = None
    alpha: float | None = None
    temperature: float | None = None
    widths: str | None = None
    nodes: tuple[int, ...] | None = None
    sample_steps: int | None = Field(default=None, ge=0, le=_LENGTH)
    compile: bool = False
    valid_every: int = Field(default=1, ge=1, le=_LENGTH)
    jointly: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = 1
    teacher_networks: int = Field(default=0, ge=0, le=100)
    teacher_depth: int = Field(default=40, ge=1, le=1000)
    teacher_growth: int = Field(default=60, ge=1, le=4096)
    teacher_epochs: float | None = Field(default=None, gt=0, le=_LENGTH)
    report_trials: int = Field(default=1, ge=0, le=1000)

    _nodes = field_validator("nodes", mode="before")(_as_tuple)

    def check_space(self, space: str) -> None:
        """Raise InputError for an unknown space, or a setting that is another space's."""
        super().check_space(space)
        if self.epochs is not None and self.iterations is not None:
            raise InputError("Give epochs or iterations, not both.")
        for name in _OF_TEACHER if not self.teacher_networks else ():
            if name in self.model_fields_set:
                raise InputError(
                    f"The setting {name} is of mimicry and needs a teacher: set teacher_networks, "
                    "the number of its networks (4 in EIGEN's paper)."
                )

    def length(self) -> tuple[float, Literal["epochs", "iterations"]] | None:
        """Return the length of a training and its unit; None for the recipe's own."""
        if self.iterations is not None:
            return self.iterations, "iterations"
        return None if self.epochs is None else (self.epochs, "epochs")

    def make_space(self, space: str, image_size: int) -> spaces.Space:
        """Return the space; only layer graphs depend on `image_size` (pixels)."""
        self.check_space(space)
        if space == "binary_stages" and self.nodes is not None:
            return spaces.BinaryStages(self.nodes)
        if space == "layer_graph":
            steps = {} if self.sample_steps is None else {"sample_steps": self.sample_steps}
            return spaces.LayerGraph(image_size, **steps)
        return super().make_space(space, image_size)


class SupernetSettings(TrainingSettings):
    """Settings of the supernet evaluator; how long it trains is the search's own `epochs`.

    `batch_norm`: statistics of an individual come from `recalibration_size` training images
    (recalibrated), from the validation batch itself (batch), or are the running averages (running).
    An individual is validated on `validation_batches` of `evaluation_batch_size` images (default:
    all). `partial_channels` k is of darts_cell: 1/k of the channels are mixed, 1 is DARTS; so is
    `pool_norm`, whether BatchNorm follows poolings (in derived networks it never does). A
    checkpoint is written each `checkpoint_every` epochs.
    """

    partial_channels: int | None = Field(default=None, ge=1, le=4096)
    pool_norm: bool | None = None
    batch_norm: Literal["recalibrated", "batch", "running"] = "recalibrated"
    recalibration_size: int = Field(default=512, ge=1, le=_IMAGES)
    validation_batches: int | None = Field(default=None, ge=1, le=_IMAGES)
    evaluation_batch_size: int = Field(default=512, ge=1, le=_IMAGES)
    checkpoint_every: int = Field(default=1, ge=1, le=_LENGTH)

    def recipe_name(self, space: str, dataset: str) -> str:
        """Return the recipe's name: that given, or the data set's own, or that of the space."""
        return self.recipe or OWN_SEARCH_RECIPE.get(dataset) or SEARCH_RECIPE_OF[space]

    def check_space(self, space: str) -> None:
        """Raise InputError for a space without a supernet, or a setting of another space."""
        if space not in SEARCH_RECIPE_OF:
            raise unknown("space of a supernet", space, SEARCH_RECIPE_OF)
        super().check_space(space)


S = TypeVar("S", bound=TrainingSettings)


def settings(values: Mapping[str, Any]) -> Settings:
    """Return standalone settings; raise InputError with the near miss."""
    return read(Settings, values)


def read(kind: type[S], values: Mapping[str, Any]) -> S:
    """Return the settings in a mapping of plain values; raise InputError with the near miss."""
    for name in values:
        if name not in kind.model_fields:
            raise unknown("evaluator setting", name, kind.model_fields)
    try:
        return kind.model_validate_json(json.dumps(dict(values)))
    except RecursionError as error:
        raise InputError("evaluator settings: a value has lists in lists without end.") from error
    except ValidationError as error:
        first = error.errors()[0]
        name = f" {first['loc'][0]}" if first["loc"] else "s"  # none of a text that is no Unicode
        raise InputError(
            f"evaluator setting{name}: {first['msg']}; got {first['input']!a:.80}."
        ) from error


def parse(assignments: Sequence[str]) -> dict[str, Any]:
    """Return the values of `key=value` texts; raise InputError for a text without '='.

    A value is read as JSON (numbers, true, [3,4,5]) or as a list (3,4,5), else it is text.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise InputError(f"Expected key=value; got {assignment!r}.")
        values[key] = (
            [int(n) for n in text.split(",")] if _INTEGERS.fullmatch(text) else _read(text)
        )
    return values


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # also an integer of thousands of digits
        return text
