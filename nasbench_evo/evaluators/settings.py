"""What may be set of an evaluator that trains, checked without importing torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nasbench_evo import spaces
from nasbench_evo.errors import InputError, unknown

RECIPE_OF = {"nasbench201": "nasbench201", "binary_stages": "genetic_cnn", "layer_graph": "eigen"}
# What only the networks, or the construction, of one space take.
_OF_SPACE = {
    "nasbench201": {"channels", "cells"},
    "binary_stages": {"widths", "dropout", "nodes"},
    "layer_graph": {"sample_steps"},
}
_NETWORK = ("channels", "cells", "widths", "dropout")
_RECIPE = {
    "batch_size": "batch_size",
    "lr": "learning_rate",
    "momentum": "momentum",
    "weight_decay": "weight_decay",
    "label_smoothing": "label_smoothing",
    "alpha": "alpha",
    "temperature": "temperature",
}
_AUGMENTATION = ("flip", "crop_padding", "cutout", "whitening")
_INTEGERS = re.compile(r"\d+(,\d+)+")


class Settings(BaseModel):
    """Values of `evaluator_set` and `--evaluator-set`; None takes the recipe's or network's own.

    `epochs` or `iterations` is the full length of a training. `channels` and `cells` (a stage) are
    of nasbench201; `widths` (a name, or "8,8,16/32": channels / hidden layers), `dropout` and
    `nodes` of binary_stages; `sample_steps` of layer_graph. `jointly` networks of nasbench201 are
    trained as one. A teacher is `teacher_networks` Wide-DenseNets. `report_trials` networks of the
    final genotype are trained anew for the report.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    # data
    split_seed: int = Field(default=0, ge=0)
    valid_fraction: float = Field(default=0.2, gt=0, lt=1)
    valid_source: Literal["train", "test"] = "train"
    train_size: int | None = Field(default=None, ge=1)
    image_size: int = Field(default=64, ge=1)
    # recipe
    recipe: str | None = None
    epochs: float | None = Field(default=None, gt=0)
    iterations: int | None = Field(default=None, ge=1)
    batch_size: int | None = Field(default=None, ge=1)
    lr: float | None = Field(default=None, gt=0)
    momentum: float | None = None
    weight_decay: float | None = None
    label_smoothing: float | None = None
    alpha: float | None = None
    temperature: float | None = None
    flip: float | None = None
    crop_padding: int | None = None
    cutout: int | None = None
    whitening: bool | None = None
    # network and space
    channels: int | None = Field(default=None, ge=1)
    cells: int | None = Field(default=None, ge=1)
    widths: str | None = None
    dropout: float | None = Field(default=None, ge=0, lt=1)
    nodes: tuple[int, ...] | None = None
    sample_steps: int | None = Field(default=None, ge=0)
    # execution
    precision: Literal["fp32", "fp64", "bf16", "fp16"] = "fp32"
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = False
    valid_every: int = Field(default=1, ge=1)
    threads: int = Field(default=1, ge=1)
    jointly: int = Field(default=1, ge=1)
    # teacher and report
    teacher_networks: int = Field(default=0, ge=0)
    teacher_depth: int = Field(default=40, ge=1)
    teacher_growth: int = Field(default=60, ge=1)
    teacher_epochs: float | None = Field(default=None, gt=0)
    report_trials: int = Field(default=1, ge=0)

    def check_space(self, space: str) -> None:
        """Raise InputError for an unknown space, or a setting that is another space's."""
        if space not in spaces.SPACES:
            raise unknown("space", space, spaces.SPACES)
        for owner, names in _OF_SPACE.items():
            given = [name for name in names if getattr(self, name) is not None]
            if owner != space and given:
                raise InputError(
                    f"The setting {given[0]} is one of the space {owner}; {space} has "
                    f"{', '.join(sorted(_OF_SPACE[space]))}."
                )
        if self.epochs is not None and self.iterations is not None:
            raise InputError("Give epochs or iterations, not both.")
        if self.jointly > 1 and space != "nasbench201":
            raise InputError("jointly works for the space nasbench201 only; use jointly=1.")

    def make_space(self, space: str, image_size: int) -> spaces.Space:
        """Return the space; `image_size` (pixels) is what layer graphs depend on."""
        self.check_space(space)
        if space == "binary_stages" and self.nodes is not None:
            return spaces.BinaryStages(self.nodes)
        if space == "layer_graph":
            steps = {} if self.sample_steps is None else {"sample_steps": self.sample_steps}
            return spaces.LayerGraph(image_size, **steps)
        return spaces.get(space)

    def recipe_name(self, space: str, dataset: str) -> str:
        """Return the recipe's name: that given, or the digits' own, or that of the space."""
        return self.recipe or ("digits" if dataset == "digits" else RECIPE_OF[space])

    def recipe_changes(self) -> dict[str, Any]:
        """Return the fields of a Recipe that were set."""
        return {
            field: getattr(self, name)
            for name, field in _RECIPE.items()
            if getattr(self, name) is not None
        }

    def augmentation_changes(self) -> dict[str, Any]:
        """Return the fields of an Augmentation that were set."""
        return {n: getattr(self, n) for n in _AUGMENTATION if getattr(self, n) is not None}

    def network_options(self) -> dict[str, Any]:
        """Return the options of the network's builder that were set."""
        return {n: getattr(self, n) for n in _NETWORK if getattr(self, n) is not None}


def settings(values: Mapping[str, Any]) -> Settings:
    """Return the settings in a mapping of plain values; raise InputError with the near miss."""
    for name in values:
        if name not in Settings.model_fields:
            raise unknown("evaluator setting", name, Settings.model_fields)
    try:
        return Settings.model_validate_json(json.dumps(dict(values)))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"evaluator setting {first['loc'][0]}: {first['msg']}; got {first['input']!r}."
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
    except json.JSONDecodeError:
        return text
