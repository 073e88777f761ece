"""TransNAS-Bench-101: its .pth file, read without running it, or the same as JSON.

Schema: `data` {part: {architecture: {task: results}}}; results have `total_epochs`, `model_info`,
and `metrics` {name: [a value an epoch]}. A micro architecture is `64-41414-a_bc_def`: the operation
on each edge by target node (0 none, 1 skip, 2 convolution 1x1, 3 convolution 3x3). A macro one is
`64-abcd-basic`: 4 to 6 modules (1 plain, 2 twice the channels, 3 half the resolution, 4 both).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasbench_evo.errors import DataError, InputError
from nasbench_evo.spaces import IntegerSpace
from nasbench_evo.spaces.choices import Choices, Gene
from nasbench_evo.tables.importing.collector import Collector
from nasbench_evo.tables.importing.trainings import Trial

_EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
SPACE = Choices(
    "transnas_micro",
    [Gene(f"edge{a}{b}", (0, 1, 2, 3)) for a, b in _EDGES],
    blocks=(1, 2, 3),  # the edges into a node
    printed="64-41414-{edge01}_{edge02}{edge12}_{edge03}{edge13}{edge23}",
    edges=_EDGES,
)
MACRO = Choices(  # modules 5 and 6 may be absent: 0
    "transnas_macro",
    [Gene(f"module{i}", (1, 2, 3, 4) if i < 5 else (0, 1, 2, 3, 4)) for i in range(1, 7)],
    printed="64-{module1}{module2}{module3}{module4}{module5}{module6}-basic",
)
PARTS = {"micro": SPACE, "macro": MACRO}
_KEYS = ("data", "metrics_dict", "task_list")
_NAN = float("nan")


class _Task(NamedTuple):
    """How a task's metric becomes percent."""

    metric: str  # behind valid_ and test_
    rule: str  # percent, fraction or negative_loss


TASKS = {
    "class_scene": _Task("top1", "percent"),
    "class_object": _Task("top1", "percent"),
    "jigsaw": _Task("top1", "percent"),
    "segmentsemantic": _Task("mIoU", "percent"),
    "autoencoder": _Task("ssim", "fraction"),
    "normal": _Task("ssim", "fraction"),
    "room_layout": _Task("neg_loss", "negative_loss"),
}
WORDS = (
    "Metrics are percent: top-1 accuracy; mIoU (segmentsemantic); 100 x SSIM (autoencoder, "
    "normal); 100 x exp(negative loss) (room_layout).",
    "Tasks have trainings of different lengths, and so are in tables of their own: NAME@EPOCHS. "
    "The file has two spaces: --part micro (the default) or --part macro.",
)

MACRO_WORD = (
    "A macro network has 4 to 6 modules, printed with 0 for those that are missing; the file does "
    "not have every setting: a search needs --missing infeasible."
)


def is_root(root: Any) -> bool:
    """Return whether the content of a file is this benchmark's."""
    return type(root) is dict and all(key in root for key in _KEYS)


def refuse_part(part: str | None, space: IntegerSpace, path: Path) -> None:
    """Raise InputError for a part of what was no file with parts."""
    if part is not None and space.name not in (SPACE.name, MACRO.name):
        raise InputError(f"--part chooses a space of TransNAS-Bench-101; {path} is another file.")


def collect(root: Mapping[str, Any], collector: Collector, part: str | None = None) -> None:
    """Gather the architectures of a part; raise DataError where the content is not well formed."""
    part = part or "micro"
    collector.adopt(PARTS[part])
    cells = root["data"].get(part) if type(root["data"]) is dict else None
    if type(cells) is not dict or not cells:
        raise DataError(f"{collector.origin}: data has no {part} architectures.")
    for arch, results in cells.items():
        index = collector.index(_of_six(arch), f"architecture {arch!r:.40}")
        if type(results) is not dict:
            raise DataError(f"{collector.origin}, {arch!r:.40}: expected results by task.")
        for name, result in results.items():
            where = f"{collector.origin}, {arch}, {name!r:.40}"
            if name not in TASKS:
                raise DataError(f"{where}: unknown task; known: {', '.join(TASKS)}.")
            try:
                epochs, trial = _trial(result, TASKS[name])
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise DataError(f"{where}: not in the official schema ({error!r:.200}).") from error
            collector.add(index, epochs, name, [trial])
    collector.words += WORDS if part == "micro" else (*WORDS, MACRO_WORD)


def _of_six(arch: Any) -> Any:
    """Return a macro architecture with 0 for each module that it lacks, others as they are."""
    found = re.fullmatch(r"64-([1-4]{4,6})-basic", arch) if type(arch) is str else None
    return arch if found is None else f"64-{found[1]:0<6}-basic"


def _trial(result: Mapping[str, Any], task: _Task) -> tuple[int, Trial]:
    """Return the length of a training and the training."""
    epochs, metrics, info = int(result["total_epochs"]), result["metrics"], result["model_info"]
    series, rows = [], []
    for split in ("train", "valid", "test"):
        name = f"{split}_{task.metric}"
        if name in metrics:
            series.append((split, "accuracy"))
            rows.append(_percent(_values(metrics[name], epochs, name), task.rule, name))
        if f"{split}_loss" in metrics:
            series.append((split, "loss"))
            rows.append(_values(metrics[f"{split}_loss"], epochs, f"{split}_loss"))
    if ("valid", "accuracy") not in series:
        raise ValueError(f"no valid_{task.metric}")
    table = np.array(rows)
    return epochs, Trial(
        seed=0,
        series=tuple(series),
        curves=table.astype(np.float32),
        last=table[:, -1].copy(),
        train_seconds=_seconds(metrics, epochs),
        seconds={},
        parameters=_millions(info.get("model_params", info.get("encoder_params"))),
        flops=_millions(info.get("model_FLOPs", info.get("encoder_FLOPs"))),
        latency=float(info.get("inference_time") or _NAN),
    )


def _values(values: Any, epochs: int, name: str) -> NDArray[np.float64]:
    """Return a metric's values, one an epoch."""
    found = np.array(values, dtype=np.float64)
    if found.shape != (epochs,) or epochs < 1 or not np.isfinite(found).all():
        raise ValueError(f"{name} has not a number for each of {epochs} epochs")
    return found


def _percent(values: NDArray[np.float64], rule: str, name: str) -> NDArray[np.float64]:
    """Return a metric as percent, by a rule that keeps its order."""
    if rule == "negative_loss":
        if (values > 0).any():
            raise ValueError(f"{name} is above 0")
        return np.asarray(100 * np.exp(values))
    found = 100 * values if rule == "fraction" else values
    if (found < 0).any() or (found > 100).any():
        raise ValueError(f"{name} is not within 0..{1 if rule == 'fraction' else 100}")
    return found


def _seconds(metrics: Mapping[str, Any], epochs: int) -> float:
    """Return the seconds of a whole training: the sum of its epochs, NaN where unknown."""
    if "time_elapsed" not in metrics:
        return _NAN
    times = _values(metrics["time_elapsed"], epochs, "time_elapsed")
    running = epochs > 1 and bool((np.diff(times) > 0).all())  # a clock, not times of epochs
    return float(times[-1] if running else times.sum())


def _millions(value: Any) -> float:
    return _NAN if value is None else float(value) / (1e6 if float(value) > 1e4 else 1)
