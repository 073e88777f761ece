"""`nasbench-evo figures`: every figure of a results folder, from what is stored."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from nasbench_evo.cli.console import out, say, steps

FORMATS_HELP = "Comma-separated: png, svg, pdf."
STYLE_HELP = "paper, talk or dark."


def figures(
    folders: Annotated[list[Path], typer.Argument(help="Results folders of suites.")],
    formats: Annotated[str, typer.Option("--format", help=FORMATS_HELP)] = "png,svg",
    look: Annotated[str, typer.Option("--style", help=STYLE_HELP)] = "paper",
    target: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the figures (default: the results folder)."),
    ] = None,
) -> None:
    """Draw a suite's figures from its stored runs; an ablation also gets its sentences.

    The same runs give the same bytes. Sentences with effect sizes are in ablation.md and .json.
    """
    from nasbench_evo import execution
    from nasbench_evo.errors import InputError
    from nasbench_evo.figures import build

    kinds = chosen_formats(formats)
    if target is not None and len(folders) > 1:
        raise InputError("--out takes the figures of one folder; several would overwrite them.")
    for folder in folders:
        say(f"{folder}:")
        there = nullcontext() if target is None else execution.writable(target)
        with there, steps("figures"):
            for path in build.make(folder, kinds, look, target=target):
                out(str(path))


def chosen_formats(text: str) -> list[str]:
    """Return the formats of a comma-separated text; raise InputError for an unknown one."""
    from nasbench_evo.errors import unknown
    from nasbench_evo.figures.style import FORMATS

    kinds = [kind.strip() for kind in text.split(",") if kind.strip()]
    for kind in kinds or [text]:
        if kind not in FORMATS:
            raise unknown("figure format", kind, FORMATS)
    return kinds
