"""`nasbench-evo figures`: every figure of a results folder, from what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench_evo.cli.console import out, say

FORMATS_HELP = "Comma-separated: png, svg, pdf."
STYLE_HELP = "paper, talk or dark."


def figures(
    folders: Annotated[list[Path], typer.Argument(help="Results folders of suites.")],
    formats: Annotated[str, typer.Option("--format", help=FORMATS_HELP)] = "png,svg",
    look: Annotated[str, typer.Option("--style", help=STYLE_HELP)] = "paper",
) -> None:
    """Draw a suite's figures from its stored runs; an ablation also gets its sentences.

    The same runs give the same bytes. Sentences with effect sizes are in ablation.md and .json.
    """
    from nasbench_evo.figures import build

    kinds = chosen_formats(formats)
    for folder in folders:
        say(f"{folder}:")
        for path in build.make(folder, kinds, look):
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
