"""`nasbench-evo draw`: one architecture as a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench_evo.cli.console import out
from nasbench_evo.cli.figures import FORMATS_HELP, STYLE_HELP, chosen_formats


def draw(
    architecture: Annotated[
        str, typer.Argument(metavar="ARCH", help="As the space prints it, e.g. '333132'.")
    ],
    space: Annotated[
        str,
        typer.Option(
            help="nasbench201, binary_stages, layer_graph, micro_cell, darts_cell or a table."
        ),
    ] = "nasbench201",
    path: Annotated[Path, typer.Option("--out", help="Where to, without the ending.")] = Path(
        "architecture"
    ),
    formats: Annotated[str, typer.Option("--format", help=FORMATS_HELP)] = "png",
    look: Annotated[str, typer.Option("--style", help=STYLE_HELP)] = "paper",
) -> None:
    """Draw an architecture: the cells of a space, Genetic CNN stages or an EIGEN layer graph."""
    from nasbench_evo.errors import InputError
    from nasbench_evo.figures import style
    from nasbench_evo.figures.architectures import graphs

    kinds = chosen_formats(formats)
    chosen = graphs.space_for(space, architecture)
    genotype = chosen.parse(architecture)
    with style.using(look):
        drawing = graphs.figure(chosen, genotype)
        target = path.with_suffix("") if path.suffix.lstrip(".") in kinds else path
        try:
            paths = style.save(drawing, target, kinds)
        except OSError as error:
            raise InputError(
                f"Cannot write {target}: {error.strerror}. Choose another --out."
            ) from error
    for written in paths:
        out(str(written))
