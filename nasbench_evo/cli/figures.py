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
    width: Annotated[
        str | None,
        typer.Option(
            help="single (3.5 inches, a column), double (7, a page) or slide (12): figures are as "
            "wide as that, with type to fit (default: as wide as their panels)."
        ),
    ] = None,
    dpi: Annotated[
        int | None,
        typer.Option(min=30, max=2400, help="Resolution of PNG (default: 100, of talk 130)."),
    ] = None,
    caption: Annotated[
        bool,
        typer.Option(
            "--caption/--no-caption", help="Captions in the images, or beside them as NAME.txt."
        ),
    ] = True,
    by_time: Annotated[
        bool,
        typer.Option(
            "--time", help="Also regret against simulated time; up to 30 runs a row are repeated."
        ),
    ] = False,
    target: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the figures (default: the results folder)."),
    ] = None,
) -> None:
    """Draw a suite's figures from its stored runs; an ablation also gets its sentences.

    Regret, final regret, performance profiles, P(better) of every pair and average ranks over
    runs with their critical difference. The same runs give the same bytes. Sentences with effect
    sizes are in ablation.md and .json.
    """
    from nasbench_evo import execution
    from nasbench_evo.errors import InputError
    from nasbench_evo.figures import build

    kinds = chosen_formats(formats)
    page = build.Page(look, notes=caption, dpi=dpi, width=width, by_time=by_time)
    if target is not None and len(folders) > 1:
        raise InputError("--out takes the figures of one folder; several would overwrite them.")
    for folder in folders:
        say(f"{folder}:")
        there = nullcontext() if target is None else execution.writable(target)
        with there, steps("figures"):
            for path in build.make(folder, kinds, page, target=target):
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
