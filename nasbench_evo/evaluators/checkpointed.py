"""Shared-weight accuracies of the genotypes of a space, from the checkpoint of a supernet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nasbench_evo.errors import DataError
from nasbench_evo.evaluators.probing import genotypes
from nasbench_evo.evaluators.settings import SupernetSettings, read
from nasbench_evo.evaluators.specifications import training_module
from nasbench_evo.randomness import seed_sequence
from nasbench_evo.spaces import Genotype

if TYPE_CHECKING:
    from nasbench_evo.evaluators.supernet import SupernetEvaluator


def accuracies(
    path: Path, n_cells: int, seed: int, *, batch_norm: str | None = None
) -> dict[Genotype, float]:
    """Return the validation accuracy, percent, of random genotypes with a checkpoint's weights.

    The genotypes are those that a suite's `rank_correlation` measures; `seed` says which images
    recalibrate BatchNorm, whose statistics are those of the checkpoint's settings unless
    `batch_norm` names others. Raises DataError for a file that is no checkpoint of a supernet, and
    Unsupported where torch is missing.
    """
    module = training_module("supernet")
    state = module.checkpoint.load(path)
    origin = state.get("origin")
    if not isinstance(origin, dict) or "settings" not in origin:
        raise DataError(
            f"{path} is no checkpoint of a supernet made by `run` or `search`; those are called "
            "supernet.pt."
        )
    settings = dict(origin["settings"])
    if settings.get("precision") == "fp16":  # only CUDA has that; the weights are fp32
        settings["precision"] = "fp32"
    if batch_norm is not None:
        settings["batch_norm"] = batch_norm
    evaluator: SupernetEvaluator = module.supernet(
        origin["space"], origin["dataset"], origin["epochs"], read(SupernetSettings, settings)
    )
    training = evaluator.plan.training(evaluator.data, origin["seed"])
    training.load_weights(state)
    chosen = genotypes(evaluator.space, n_cells)
    word = int(seed_sequence(seed, "validation").generate_state(1, np.uint64)[0] >> 1)
    measured = evaluator.plan.accuracy(training.model, evaluator.data).of_paths(chosen, word)
    return {genotype: one[0] for genotype, one in zip(chosen, measured, strict=True)}
