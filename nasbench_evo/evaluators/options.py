"""How a suite asks for trainings: plain data, checked and made into an evaluator when needed.

torch and pydantic are imported only by the functions, so that a search on a table stays light.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nasbench_evo.errors import Unsupported, unknown
from nasbench_evo.spaces import Space

if TYPE_CHECKING:
    from nasbench_evo.evaluators.standalone import StandaloneEvaluator


@dataclass(frozen=True)
class TrainingOptions:
    """How the individuals of a search are trained; `settings` is canonical JSON."""

    space: str
    settings: str
    devices: tuple[str, ...]


@lru_cache(maxsize=8)
def trainer(
    options: TrainingOptions, dataset: str, folder: Path | None, workers: int
) -> StandaloneEvaluator:
    """Return the evaluator of some options, kept for the next run of this process."""
    from nasbench_evo.evaluators.settings import settings

    made: StandaloneEvaluator = training_module().standalone(
        options.space,
        dataset,
        settings(json.loads(options.settings)),
        devices=options.devices,
        workers=workers,
        folder=folder,
    )
    return made


def training_module() -> ModuleType:
    """Return the module of the standalone evaluator; raise Unsupported where torch is missing."""
    try:
        from nasbench_evo.evaluators import standalone
    except ImportError as error:
        raise Unsupported(
            f"The standalone evaluator needs torch ({error}): pip install 'nasbench-evo[train]'."
        ) from error
    return standalone


def check(space: str, values: Mapping[str, Any], datasets: Sequence[str]) -> Space:
    """Return the space after checking settings and names; needs no data set.

    Raises InputError for what is unknown or does not fit, Unsupported where torch is missing.
    """
    from nasbench_evo.evaluators.settings import settings

    chosen = settings(values)
    chosen.check_space(space)
    module = training_module()
    for dataset in datasets:
        module.recipe_of(chosen, space, dataset)
        if dataset not in module.SOURCES:
            raise unknown("data set", dataset, module.SOURCES)
    return chosen.make_space(space, chosen.image_size)
