"""How architectures are spelled: the options of the commands that read files of them."""

from __future__ import annotations

from typing import Annotated

import typer

Spelling = Annotated[
    str | None,
    typer.Option(help="How six numbers are meant: naslib (its operations and edge order)."),
]
Index = Annotated[
    str | None,
    typer.Option(
        help="What an integer means: official (the benchmark's list), base5, or digits (that lost "
        "their leading zeros)."
    ),
]
