"""The learning curve of one training."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasbench_evo.figures import style

_LETTERS = 110  # of a line of the title


def draw(content: Mapping[str, Any], path: Path) -> list[Path]:
    """Write the figure of a training report (`curve`, `dataset`, `test_accuracy`) beside `path`.

    Left: accuracy of training and validation, with the test accuracy as a line; right: losses.
    Returns the paths of PNG and SVG.
    """
    from matplotlib.figure import Figure  # imported late: the command line must start fast

    curve = content["curve"]
    with style.using():
        title = textwrap.fill(f"{content['dataset']}: {content['arch']}", _LETTERS)
        figure = Figure(figsize=(7.2, 3.0 + 0.15 * title.count("\n")), layout="constrained")
        for axes, metric, unit in zip(
            figure.subplots(1, 2), ("accuracy", "loss"), ("%", "nats"), strict=True
        ):
            for split, colour in (("train", "#0072B2"), ("valid", "#D55E00")):
                known = [point for point in curve if point[f"{split}_{metric}"] is not None]
                if split == "valid" and not known:  # no images validate
                    continue
                epochs = [point["epoch"] for point in known]
                values = [point[f"{split}_{metric}"] for point in known]
                axes.plot(epochs, values, color=colour, label=split)
            axes.set_xlabel("epoch")
            axes.set_ylabel(f"{metric} ({unit})")
            test = content[f"test_{metric}"]
            if test is not None:
                axes.axhline(test, color="#000000", linestyle=style.DASHES[2], label="test, at end")
        axes.legend()
        figure.suptitle(title, fontsize=8)
        return style.save(figure, path)
